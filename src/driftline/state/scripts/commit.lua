-- Moves a task one step forward, or changes nothing.
-- ARGV: owner, epoch, expected sequence, next sequence, expected offsets, next offsets, fingerprint,
--       count of blobs to write, of blobs to delete, of outbox records; then name and value of each blob to write,
--       the names to delete, the records.
-- Answers outcome, last outbox number, detail, the time.
local owner, epoch = ARGV[1], ARGV[2]
local expected_sequence, next_sequence = ARGV[3], ARGV[4]
local expected_offsets, next_offsets = ARGV[5], ARGV[6]
local fingerprint, now = ARGV[7], clock()
local writes, deletes, records = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local first_write = 11
local first_delete = first_write + 2 * writes
local first_record = first_delete + deletes

local task, fault = load_task()
if fault then
  return {'corrupt', '0', fault, now}
end
local reason = fenced(task, owner, epoch)
if reason then
  return {'fenced', '0', reason, now}
end
if task.sequence == next_sequence and task.offsets == next_offsets and task.fingerprint == fingerprint then
  return {'already', task.outbox_last, '', now}
end
if task.sequence ~= expected_sequence or task.offsets ~= expected_offsets then
  return {'stale', '0', 'expected commit ' .. expected_sequence .. ' at ' .. expected_offsets
    .. ', found commit ' .. task.sequence .. ' at ' .. task.offsets, now}
end
local outbox_last = as_text(tonumber(task.outbox_last) + records)
if not is_counter(outbox_last) or not is_counter(next_sequence) then
  return {'corrupt', '0', META .. ' has no sequence or outbox numbers left', now}
end

local function in_chunks(command, key, first, count)
  local last = first + count - 1
  for from = first, last, CHUNK do
    redis.call(command, key, unpack(ARGV, from, math.min(from + CHUNK - 1, last)))
  end
end
-- An ACL may refuse any command, and what was written before it stays. So two that change nothing come first, and
-- then the one that cannot be tried out. (HSET before HDEL: a full Redis refuses the first write, and no later one.)
redis.call('HSET', META, 'owner', owner)
redis.call('HDEL', META, '')
in_chunks('RPUSH', OUTBOX, first_record, records)
in_chunks('HSET', BLOBS, first_write, 2 * writes)
in_chunks('HDEL', BLOBS, first_delete, deletes)
redis.call('HSET', META, 'sequence', next_sequence, 'offsets', next_offsets, 'fingerprint', fingerprint,
  'blobs', redis.call('HLEN', BLOBS), 'outbox_last', outbox_last, 'committed_at', now)
return {'ok', outbox_last, '', now}
