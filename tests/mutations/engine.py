"""Mutations of what moves records and keeps state: each record counts once, whatever happens."""

from driftline.cli import run, stopping
from driftline.incidents.incident import Incident
from driftline.log import kafka_batch, kafka_settings
from driftline.log.kafka_consumer import KafkaConsumer
from driftline.log.kafka_reader import KafkaReader
from driftline.pipeline import skipping, stage_topics
from driftline.pipeline.judge_stage import JudgeStage
from driftline.pipeline.summarise_stage import SummariseStage
from driftline.runtime import inputs
from driftline.runtime.checkpoint import Checkpointer
from driftline.runtime.owning import OwnedTasks
from driftline.runtime.pausing import Pausing
from driftline.runtime.task import Owned
from driftline.runtime.worker import Worker
from driftline.state import commits, memory
from driftline.state.connections import Clustered, OneServer, SentinelMaster
from driftline.state.memory import MemoryStore
from tests.mutations.places import Mutation

SIMULATION = "tests/simulation/test_simulation.py::test_what_went_wrong_on_the_way_does_not_show_in_the_end"
CHECKPOINT = "tests/runtime/test_checkpoint.py"
FETCHING = "tests/runtime/test_fetching.py"
HANGS = "tests/cli/test_run.py::test_a_child_whose_parent_has_gone_stops_and_leaves_where_stopping_hangs"
KAFKA = "tests/log/test_kafka.py"
LOST_OFFSETS = "tests/runtime/test_lost_offsets.py"
PAUSING = "tests/runtime/test_pausing.py"
RESTING = f"{PAUSING}::test_a_resting_worker_goes_on_once_all_answer_and_not_before"
SKIPPING = "tests/pipeline/test_skipping.py"
WORKER = "tests/runtime/test_worker.py"
STORES = "tests/state/test_conformance.py"
PERMISSIONS = "tests/state/test_permissions.py"
FAILOVER = "tests/state/test_failover.py"

MUTATIONS = (
    # atomic progress
    Mutation(
        "store: commits are not compared with what they expect",
        MemoryStore.commit,
        "found != (commit.expected_sequence, expected)",
        "False",
        (SIMULATION,),
    ),
    Mutation(
        "store: owner and epoch are not compared",
        memory._fenced,
        "(stored.owner, stored.epoch) != (claim.owner, claim.epoch)",
        "False",
        (STORES,),
    ),
    Mutation(
        "store: a claim does not count the epoch up",
        MemoryStore.claim,
        "before.epoch + 1",
        "before.epoch",
        (STORES,),
    ),
    Mutation(
        "store: a commit whose reply was lost is not known again",
        MemoryStore.commit,
        "Committed(CommitOutcome.ALREADY, _, at=now)",
        "Committed(CommitOutcome.STALE)",
        (STORES,),
    ),
    Mutation(
        "Redis: commits are not compared with what they expect",
        "state/scripts/commit.lua",
        "if task.sequence ~= expected_sequence or task.offsets ~= expected_offsets then",
        "if false then",
        (STORES,),
    ),
    Mutation(
        "Redis: owner and epoch are not compared",
        "state/scripts/task.lua",
        "if task.owner ~= owner or task.epoch ~= epoch then",
        "if false then",
        (STORES,),
    ),
    Mutation(
        "Redis: a commit does not say when it was",
        "state/scripts/commit.lua",
        ", 'committed_at', now)",
        ")",
        ("tests/state/test_conformance.py::test_tasks_are_listed_in_order_and_by_group",),
    ),
    Mutation(
        "Redis: what an ACL may refuse is not tried out before the first write that stays",
        "state/scripts/commit.lua",
        "redis.call('HDEL', META, '')",
        "",
        (f"{PERMISSIONS}::test_each_permission_is_needed_and_the_message_names_all",),
    ),
    Mutation(
        "Redis: who is told that it became a replica keeps its connection",
        OneServer.look_again,
        "self._client.connection_pool.disconnect(inuse_connections=False)",
        "None",
        ("tests/state/test_redis.py::TestRefusals",),
    ),
    Mutation(
        "Redis: sentinels are asked for new connections only",
        SentinelMaster.client,
        "now >= self._next_look",
        "False",
        (f"{FAILOVER}::TestSentinels::test_a_planned_failover_is_ridden_out",),
    ),
    Mutation(
        "Redis: a cluster's client that found no node is kept",
        Clustered.look_again,
        "self.close()",
        "None",
        (f"{FAILOVER}::TestCluster",),
    ),
    Mutation(
        "reading starts where the log's own committed offsets are",
        Checkpointer.claim,
        "positions = _",
        "positions = {topic: consumer._of[topic].inner._group.reported.get(TopicPartition(topic, task.partition), 0)"
        " for topic in stage.inputs}",
        (SIMULATION,),
    ),
    Mutation(
        "records that the client brings again are counted again",
        Owned.receive,
        "unseen(batch, expected)",
        "[batch]",
        (FETCHING, SIMULATION),
    ),
    Mutation(
        "timestamps count as producers' own, whoever wrote them",
        kafka_batch.batches_of,
        "kinds[run.start] == TIMESTAMP_LOG_APPEND_TIME",
        "False",
        ("tests/log/test_reading.py::test_a_batch_holds_records_whose_timestamps_were_all_written_by_one",),
    ),
    Mutation(
        "a batch behind one that was left out is taken",
        OwnedTasks.take,
        "batch.source not in missed",
        "True",
        (f"{FETCHING}::test_a_gap_before_several_batches_is_fetched_once_more_and_then_believed",),
    ),
    Mutation(
        "a bounded run waits for control records behind the last record",
        Owned.pass_ends,
        "self.next(topic) < end",
        "False",
        ("tests/pipeline/test_transactions.py::test_a_bounded_run_ends_behind_a_transaction",),
    ),
    Mutation(
        "records that the client leaves out are not missed",
        Owned.receive,
        "self._doubt(topic, begins)",
        "False",
        (FETCHING, SIMULATION),
    ),
    Mutation(
        "after a refused commit the task goes on with what it has in memory",
        Worker._commit,
        "self._tasks.reclaim(owned)",
        "pass",
        (SIMULATION,),
    ),
    Mutation(
        "a checkpoint that waits to be committed is taken again",
        Checkpointer.prepare,
        "owned.pending is not None",
        "False",
        (PAUSING, SIMULATION),
    ),
    Mutation(
        "a task that broke off in the middle is committed",
        Owned.work,
        "self.torn = True",
        "pass",
        (CHECKPOINT,),
    ),
    Mutation(
        "nobody asks whether the store went back",
        Worker._advance,
        "self._tasks.reclaim_what_the_store_lost()",
        "pass",
        (CHECKPOINT, SIMULATION),
    ),
    # nothing lost
    Mutation(
        "panes and alerts are published before their commit",
        Checkpointer.bury,
        "owned.pending.dead_letters",
        "[*owned.pending.dead_letters, *owned.pending.records]",
        (SIMULATION,),
    ),
    Mutation(
        "dead letters are not flushed before the commit that passes them",
        Checkpointer.bury,
        "self._deliver(_)",
        "for owned in tasks:\n"
        "    for letter in owned.pending.dead_letters if owned.pending else ():\n"
        "        self._producer.produce(letter)",
        (SIMULATION,),
    ),
    Mutation(
        "records that were refused are not given to the producer that comes next",
        Checkpointer._deliver,
        "owned.given_to is not self._producer",
        "owned.given_to is None",
        (CHECKPOINT, SIMULATION),
    ),
    Mutation(
        "the outbox is acknowledged before it is published",
        Checkpointer.publish,
        "self._deliver(_)",
        "for owned in sending:\n    self._store.ack(owned.claim, owned.unsent[-1][0])\n"
        "self._deliver([(owned, [record for _, record in owned.unsent]) for owned in sending])",
        (SIMULATION,),
    ),
    Mutation(
        "the outbox is never acknowledged",
        Checkpointer.publish,
        "self._store.ack(_, _)",
        "pass",
        (SIMULATION,),
    ),
    Mutation(
        "what the last owner left in the outbox is not published",
        Checkpointer.claim,
        "owned.unsent = _",
        "pass",
        (f"{WORKER}::test_the_next_owner_publishes_what_the_last_one_left", WORKER, SIMULATION),
    ),
    Mutation(
        "a partition added on the way is not counted as a source",
        OwnedTasks.claim,
        "self._notice_growth(partition)",
        "pass",
        (
            f"{CHECKPOINT}::test_a_partition_added_while_workers_run_is_a_source_that_judge_waits_for",
            CHECKPOINT,
            SIMULATION,
        ),
    ),
    # offsets that are lost
    Mutation(
        "a topic that was created anew under a worker is read on at the old offsets",
        OwnedTasks.of_the_same_topics,
        "anew and owned.pending is None",
        "False",
        (f"{LOST_OFFSETS}::test_a_topic_that_was_created_anew_is_not_read_on_at_the_old_offsets",),
    ),
    Mutation(
        "a topic that was created anew while no worker ran is read on at the old offsets",
        inputs.created_anew,
        "held.topic_id != topic_id",
        "False",
        (f"{LOST_OFFSETS}::test_a_topic_that_was_created_anew_is_not_read_on_at_the_old_offsets",),
    ),
    Mutation(
        "the id of a topic is not stored with the offsets",
        Checkpointer.prepare,
        "owned.inputs != owned.stored_inputs",
        "False",
        (f"{LOST_OFFSETS}::test_state_of_before_ids_were_stored_takes_the_id_that_it_meets",),
    ),
    Mutation(
        "what was read before an offset was lost is not committed",
        OwnedTasks.give_up_what_is_lost,
        "not owned.moved and not owned.unfinished",
        "True",
        (f"{LOST_OFFSETS}::test_what_was_read_before_the_offset_was_lost_is_committed_first",),
    ),
    Mutation(
        "a log that lost its end is read on from where it has grown again",
        inputs.lost_offset,
        "held.ended is not None or offset > end",
        "offset > end",
        (f"{LOST_OFFSETS}::test_a_log_that_lost_its_end_holds_its_task_up_even_when_it_has_grown_again",),
    ),
    Mutation(
        "a skip takes no notice of what the task did meanwhile",
        skipping.carry_out,
        "(claim.sequence, claim.offsets) != (info.sequence, info.offsets)",
        "False",
        (f"{SKIPPING}::test_a_task_that_moved_on_meanwhile_is_left_alone",),
    ),
    Mutation(
        "records that were skipped are not counted",
        skipping.carry_out,
        "held.skipped + plan.records",
        "held.skipped",
        (f"{SKIPPING}::test_a_worker_that_owns_the_task_is_fenced_and_goes_on_at_the_new_offset",),
    ),
    Mutation(
        "a skip is told to nobody",
        skipping.carry_out,
        "(*stage.output().records, _word(log, settings, plan, claim.at))",
        "stage.output().records",
        (f"{SKIPPING}::test_the_alert_fires_as_soon_as_the_next_owner_has_published_the_word_of_it",),
    ),
    Mutation(
        "places of a source begin anew with its topic",
        SummariseStage.skip,
        "self._before += offset - to",
        "pass",
        (f"{SKIPPING}::test_a_source_whose_topic_was_created_anew_still_tells_judge_that_it_is_quiet",),
    ),
    # partitions that move
    Mutation(
        "a partition that moves is not checkpointed before",
        Worker.on_revoked,
        "self._finish_with(_, _)",
        "pass",
        (f"{WORKER}::test_what_moves_to_another_worker_is_checkpointed_before",),
    ),
    Mutation(
        "a worker keeps the tasks that it lost",
        Worker.on_lost,
        "self._tasks.forget(partitions)",
        "pass",
        (f"{WORKER}::test_a_worker_lets_go_of_what_it_lost",),
    ),
    Mutation(
        "a release sends a model's panes to another partition than the one before",
        stage_topics.panes_partition,
        "crc32(model.encode())",
        "sum(model.encode())",
        ("tests/pipeline/test_stages.py",),
    ),
    Mutation(
        "records of a partition that was taken away in the same call are handed out",
        KafkaConsumer.poll,
        "by_partition(messages, self._started)",
        "by_partition(messages, {TopicPartition(str(each.topic()), each.partition() or 0) for each in messages})",
        (f"{KAFKA}::test_records_of_a_partition_that_was_taken_away_in_the_same_call_are_not_handed_out",),
    ),
    Mutation(
        "an end is told though records behind it came in the same call",
        KafkaConsumer._caught_up,
        "not records or end is None or (records[-1].offset() or 0) < end",
        "True",
        (f"{KAFKA}::test_an_end_is_not_told_where_records_behind_it_came_in_the_same_call",),
    ),
    Mutation(
        "a bounded reader ends a record early",
        KafkaReader.poll,
        "offset + 1",
        "offset + 2",
        ("tests/log/test_writing.py::test_a_reader_sees_the_last_record_however_little_a_poll_brings",),
    ),
    # processes that end
    Mutation(
        "a worker's process lives on where its parent has gone",
        run.run_one,
        "_stop_when_input_ends()",
        "pass",
        (HANGS,),
    ),
    Mutation(
        "a process whose shutdown hangs is never ended",
        stopping.stopping_on_signals,
        "asked.give_up_after(deadline_s + GIVE_UP_S, give_up)",
        "pass",
        (HANGS,),
    ),
    Mutation(
        "a process whose shutdown hangs in a library that keeps Python's lock is never ended",
        stopping.Asked.give_up_after,
        "faulthandler.dump_traceback_later(seconds + GIVE_UP_S, exit=True, file=STDERR)",
        "pass",
        ("tests/cli/test_stopping.py",),
    ),
    # outages
    Mutation(
        "a resting worker goes on without asking the store",
        Pausing.end,
        "self._store.time_ms()",
        "pass",
        (RESTING,),
    ),
    Mutation(
        "a resting worker goes on without asking the log",
        Pausing.end,
        "self._consumer.bounds(_)",
        "pass",
        (RESTING,),
    ),
    Mutation(
        "a worker that cannot finish a checkpoint works on",
        Worker._advance,
        "self._tasks.hold_back()\nreturn",
        "pass",
        (
            f"{PAUSING}::test_nothing_more_is_read_while_a_slow_store_takes_a_checkpoint_bit_by_bit",
            PAUSING,
        ),
    ),
    Mutation(
        "records that are still being tried are given to another producer as well",
        Checkpointer._anew_if_refused,
        "DeliveryPending",
        "()",
        (PAUSING,),
    ),
    Mutation(
        "a log that has more than was read counts as idle",
        Worker._is_idle,
        "return read",
        "return True",
        (PAUSING,),
    ),
    Mutation(
        "an input that was not read during a pause counts as idle",
        Pausing.end,
        "owned.last_counted = now",
        "pass",
        (PAUSING,),
    ),
    Mutation(
        "the engine's producer writes what was queued behind a refused record",
        kafka_settings,
        "ENGINE_PRODUCER: Settings = _",
        'ENGINE_PRODUCER: Settings = {"message.timeout.ms": 0}',
        (f"{KAFKA}::test_a_refused_record_ends_the_engines_producer_and_nothing_behind_it_is_written",),
    ),
    Mutation(
        "an input that ended is flushed again and again",
        SummariseStage.end,
        "self._ended_at == position",
        "False",
        (f"{WORKER}::test_a_bounded_run_gives_the_alerts_of_a_backtest", WORKER, SIMULATION),
    ),
    # groups that share topics
    Mutation(
        "Judge takes the panes of another group",
        JudgeStage.process,
        "group == self._topics.group",
        "True",
        ("tests/pipeline/test_groups.py::test_what_is_of_another_group_is_counted_told_and_left_alone",),
    ),
    Mutation(
        "two groups give the same key to incidents of the same kind",
        Incident.fingerprint,
        "self.group",
        '""',
        ("tests/incidents/test_alerts.py",),
    ),
    # stored state
    Mutation(
        "a fingerprint takes the lengths of long parts alone",
        commits._mark,
        "zlib.crc32(part)",
        "0",
        ("tests/state/test_commits.py",),
    ),
)
