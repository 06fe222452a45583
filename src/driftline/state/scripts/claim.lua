-- Takes a task over. ARGV: owner.
-- Only the meta is answered: blobs and outbox are read afterwards in pieces, which nobody else can change any more.
local owner, now = ARGV[1], clock()

local task, fault = load_task()
if fault then
  return {'corrupt', fault}
end
local epoch = as_text(tonumber(task and task.epoch or '0') + 1)
if not is_counter(epoch) then
  return {'corrupt', META .. ' has no epoch left'}
end

if not task then
  task = {sequence = '0', offsets = '{}', blobs = '0', outbox_last = '0', outbox_acked = '0'}
  redis.call('HSET', META,
    'format', FORMAT, 'owner', owner, 'epoch', epoch, 'sequence', task.sequence, 'offsets', task.offsets,
    'fingerprint', '', 'blobs', task.blobs, 'outbox_last', task.outbox_last, 'outbox_acked', task.outbox_acked,
    'claimed_at', now, 'committed_at', '0')
else
  redis.call('HSET', META, 'owner', owner, 'epoch', epoch, 'claimed_at', now)
end
return {'ok', '', epoch, task.sequence, task.offsets, task.blobs, task.outbox_last, task.outbox_acked, now}
