"""All mutations, in the order in which they are made."""

from tests.mutations import delivery, engine, findings, labelling, telling

MUTATIONS = (
    *engine.MUTATIONS,
    *telling.MUTATIONS,
    *findings.MUTATIONS,
    *labelling.MUTATIONS,
    *delivery.MUTATIONS,
)
