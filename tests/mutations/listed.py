"""All mutations, in the order in which they are made."""

from tests.mutations import delivery, engine, findings, telling

MUTATIONS = (*engine.MUTATIONS, *telling.MUTATIONS, *findings.MUTATIONS, *delivery.MUTATIONS)
