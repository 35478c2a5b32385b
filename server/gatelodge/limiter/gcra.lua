-- Takes from every bucket of a call, or from none. The same as `decide` in gcra.py, on this server's clock.
--
-- KEYS: the buckets, under one hash tag.
-- ARGV: for each bucket three numbers: the increment, the capacity (microseconds), and 1 for a shadow policy.
-- Answers the time in microseconds, then what each bucket held before (0 for nothing).

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stored = redis.call('MGET', unpack(KEYS))
local answer, after, passes, allowed = {now}, {}, {}, true

for i = 1, #KEYS do
  local increment, capacity = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  answer[i + 1] = tonumber(stored[i] or 0)
  after[i] = math.min(math.max(answer[i + 1], now), now + capacity) + increment
  passes[i] = after[i] - now <= capacity
  allowed = allowed and (passes[i] or ARGV[3 * i] == '1')
end

for i = 1, #KEYS do
  if allowed and passes[i] and after[i] > now then
    -- A full bucket is no bucket: the key goes when it would be full. Lua's own notation would lose digits.
    redis.call('SET', KEYS[i], string.format('%.0f', after[i]), 'PX', math.ceil((after[i] - now) / 1000))
  end
end

return answer
