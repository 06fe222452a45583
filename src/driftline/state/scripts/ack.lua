-- Drops outbox records that were published. ARGV: owner, epoch, number of the last one published.
local owner, epoch, through = ARGV[1], ARGV[2], tonumber(ARGV[3])

local task, fault = load_task()
if fault then
  return {'corrupt', fault}
end
local reason = fenced(task, owner, epoch)
if reason then
  return {'fenced', reason}
end

-- A store that went back has given out fewer numbers than were published: it will give them out again.
local acked = tonumber(task.outbox_acked)
through = math.min(through, tonumber(task.outbox_last))
if through > acked then
  redis.call('LTRIM', OUTBOX, through - acked, -1)
  redis.call('HSET', META, 'outbox_acked', as_text(through))
end
return {'ok', ''}
