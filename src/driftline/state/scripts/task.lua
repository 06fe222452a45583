-- Put before each of the other scripts: reads one stored task and checks it whole, before anything is written.
-- (Neither Lua nor MULTI rolls back.) KEYS: meta (hash), blobs (hash), outbox (list).
--
-- Owner, epoch, sequence and offsets are only ever compared as text: Lua numbers are doubles, to which 2^53 + 1 equals
-- 2^53. Counters are calculated with, so they are held below 10^15, where doubles are exact.
local META, BLOBS, OUTBOX = KEYS[1], KEYS[2], KEYS[3]
local FORMAT = '1'
local FIELDS = {
  'format', 'owner', 'epoch', 'sequence', 'offsets', 'fingerprint',
  'blobs', 'outbox_last', 'outbox_acked', 'claimed_at', 'committed_at',
}
local COUNTERS = {'epoch', 'sequence', 'blobs', 'outbox_last', 'outbox_acked', 'claimed_at', 'committed_at'}
-- unpack() of more than about 8,000 values overflows Lua's stack. Even, so that pairs stay together.
local CHUNK = 1000

local function is_counter(text)
  return text == '0' or (#text <= 15 and string.find(text, '^[1-9]%d*$') ~= nil)
end

local function as_text(number)
  return string.format('%.0f', number)
end

-- Returns the time by this server's clock, in epoch milliseconds. (Redis sends replicas what a script wrote, not the
-- script, since 5.0: so a script may ask for the time and then write.)
local function clock()
  local time = redis.call('TIME')
  return as_text(time[1] * 1000 + math.floor(time[2] / 1000))
end

-- Returns the task; or nil if nothing is stored; or nil and what is wrong.
local function load_task()
  for i, wanted in ipairs({'hash', 'hash', 'list'}) do
    local found = redis.call('TYPE', KEYS[i]).ok
    if found ~= wanted and found ~= 'none' then
      return nil, KEYS[i] .. ' is a ' .. found .. ' and not a ' .. wanted
    end
  end
  local blobs, waiting = redis.call('HLEN', BLOBS), redis.call('LLEN', OUTBOX)
  if redis.call('EXISTS', META) == 0 then
    if blobs + waiting > 0 then
      return nil, META .. ' is missing, and ' .. blobs .. ' blobs and ' .. waiting .. ' outbox records are there'
    end
    return nil, nil
  end

  local values, task = redis.call('HMGET', META, unpack(FIELDS)), {}
  for i, name in ipairs(FIELDS) do
    if not values[i] then
      return nil, META .. ' has no field ' .. name
    end
    task[name] = values[i]
  end
  if task.format ~= FORMAT then
    return nil, META .. ' has format ' .. task.format .. ', this release of Driftline reads ' .. FORMAT
  end
  for _, name in ipairs(COUNTERS) do
    if not is_counter(task[name]) then
      return nil, META .. ' field ' .. name .. ' is not a count: ' .. task[name]
    end
  end
  if blobs ~= tonumber(task.blobs) then
    return nil, BLOBS .. ' has ' .. blobs .. ' blobs and should have ' .. task.blobs
  end
  if waiting ~= tonumber(task.outbox_last) - tonumber(task.outbox_acked) then
    return nil, OUTBOX .. ' has ' .. waiting .. ' records and should have ' .. task.outbox_acked .. ' to ' .. task.outbox_last
  end
  return task, nil
end

-- Returns why the caller no longer owns the task; or nil if it does.
local function fenced(task, owner, epoch)
  if not task then
    return 'nothing is stored: the store lost the claim'
  end
  if task.owner ~= owner or task.epoch ~= epoch then
    return 'claimed by ' .. owner .. ' in epoch ' .. epoch .. ', found ' .. task.owner .. ' in epoch ' .. task.epoch
  end
  return nil
end
