/**
 * What Redis does in one step for the cluster plugin. Each script takes the keys of one session, or of one node. In a lane.
 *
 * A session's `lease` is a fencing token: whoever opens the session writes a new one, and a script that is given an older
 * one changes nothing. So a node that stood still, and goes on, can do nothing to a session that another node has by now.
 */
import { Script } from '../redis/script.js'

const FENCE = "if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return 0 end"

/** Needs `local queue`. */
const REMOVE = `
local function remove(id)
  local found = redis.call('XRANGE', queue, id, id)
  if #found == 0 then return end
  redis.call('XDEL', queue, id)
  redis.call('HINCRBY', KEYS[1], 'queueBytes', -#found[1][2][2])
end`

const KEEP_UNTIL_SESSION_ENDS = (...keys: number[]) =>
  `local ttl = redis.call('PTTL', KEYS[1])
if ttl > 0 then ${keys.map((key) => `redis.call('PEXPIRE', KEYS[${key}], ttl)`).join(' ')} end`

/** KEYS all of the session. ARGV lease, node, generation, clean, username, now, expiry in ms. */
export const OPEN_SESSION = new Script(`
local old = redis.call('HMGET', KEYS[1], 'node', 'clean')
redis.call('HSET', KEYS[1], 'lease', ARGV[1], 'owner', ARGV[2], 'node', ARGV[2], 'generation', ARGV[3], 'clean', ARGV[4],
  'username', ARGV[5], 'seenAtMs', ARGV[6])
if ARGV[4] == '1' or old[2] == '1' then
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
  redis.call('HDEL', KEYS[1], 'queueBytes')
end
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[7]) end
return { old[1] or '', old[2] or '', redis.call('HGETALL', KEYS[2]) }`)

/** The session's client has gone; from here on its time runs. KEYS all. ARGV lease, expiry in ms, now. */
export const LEAVE_SESSION = new Script(`
${FENCE}
redis.call('HSET', KEYS[1], 'node', '', 'seenAtMs', ARGV[3])
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return 1`)

/** KEYS all. ARGV lease. */
export const REMOVE_SESSION = new Script(`
${FENCE}
redis.call('DEL', unpack(KEYS))
return 1`)

/** Its client is still there. -1: the session is gone. KEYS all. ARGV lease, expiry in ms. */
export const RENEW_SESSION = new Script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
${FENCE}
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return 1`)

/** What a dead node had: 1 a clean session, which is removed; 2 one that stays. KEYS all. ARGV node, generation. */
export const BURY_SESSION = new Script(`
local s = redis.call('HMGET', KEYS[1], 'owner', 'node', 'clean', 'generation')
if s[1] ~= ARGV[1] or (ARGV[2] ~= '' and s[4] == ARGV[2]) then return 0 end
if s[3] == '1' then redis.call('DEL', unpack(KEYS)) return 1 end
if s[2] == '' then return 0 end
redis.call('HSET', KEYS[1], 'node', '')
return 2`)

/** KEYS session, subs. ARGV lease, filters and QoS by turns. */
export const ADD_SUBSCRIPTIONS = new Script(`
${FENCE}
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
${KEEP_UNTIL_SESSION_ENDS(2)}
return 1`)

/** KEYS session, subs. ARGV lease, filters. */
export const REMOVE_SUBSCRIPTIONS = new Script(`
${FENCE}
for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 1`)

/**
 * Puts messages into a session's queue. KEYS session, queue, recent. ARGV most messages, most bytes, now, then for each: its
 * token (QoS 2; else empty) and its bytes. Returns 1, the node of the session's client, how many went to make room. 0: the
 * session does not stay, or is gone.
 */
export const ENQUEUE = new Script(`
if redis.call('HGET', KEYS[1], 'clean') ~= '0' then return { 0 } end
local queue, recent = KEYS[2], KEYS[3]
${REMOVE}
for i = 4, #ARGV, 2 do
  local token, bytes = ARGV[i], ARGV[i + 1]
  if token == '' or redis.call('ZADD', recent, 'NX', ARGV[3], token) == 1 then
    redis.call('XADD', queue, '*', 'm', bytes)
    redis.call('HINCRBY', KEYS[1], 'queueBytes', #bytes)
  end
end
redis.call('ZREMRANGEBYSCORE', recent, '-inf', ARGV[3] - 600000)
redis.call('ZREMRANGEBYRANK', recent, 0, -10001)
local dropped = 0
while redis.call('XLEN', queue) > 1 and (redis.call('XLEN', queue) > tonumber(ARGV[1])
  or tonumber(redis.call('HGET', KEYS[1], 'queueBytes') or 0) > tonumber(ARGV[2])) do
  remove(redis.call('XRANGE', queue, '-', '+', 'COUNT', 1)[1][1])
  dropped = dropped + 1
end
${KEEP_UNTIL_SESSION_ENDS(2, 3)}
return { 1, redis.call('HGET', KEYS[1], 'node') or '', dropped }`)

/**
 * Takes messages out of a queue to be sent, and notes under which packet ids. KEYS session, queue, inflight. ARGV lease,
 * after, most under way, most bytes, most messages. Returns 1, what is left ('end', 'more', 'full'), then released ids,
 * received ids, and for each message its id, packet id and bytes. Packet ids of queued messages are 1 to 32,767.
 */
export const PULL = new Script(`
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return { 0 } end
local queue, inflight, isFirst = KEYS[2], KEYS[3], ARGV[2] == ''
local sent, used, released, received = {}, 0, {}, {}
local all = redis.call('HGETALL', inflight)
for i = 1, #all, 2 do
  local direction, packetId = string.match(all[i], '^(%a+):(%d+)$')
  local state, id = string.match(all[i + 1], '^(%a+) ?(.*)$')
  if direction == 'in' and state == 'received' then received[#received + 1] = packetId end
  if direction == 'out' and state == 'released' then released[#released + 1] = packetId end
  if direction == 'out' and state == 'sent' then
    if isFirst and #redis.call('XRANGE', queue, id, id) == 0 then
      redis.call('HDEL', inflight, all[i])
      used = used - 1
    else
      sent[id] = packetId
    end
  end
  if direction == 'out' then used = used + 1 end
end
local room, bytes, left, messages = ARGV[3] - used, 0, 'end', {}
local entries = redis.call('XRANGE', queue, isFirst and '-' or '(' .. ARGV[2], '+', 'COUNT', ARGV[5])
if #entries == tonumber(ARGV[5]) then left = 'more' end
for _, entry in ipairs(entries) do
  local id, message = entry[1], entry[2][2]
  local packetId = sent[id]
  if #messages > 0 and bytes + #message > tonumber(ARGV[4]) then left = 'more' break end
  if not packetId then
    if room <= 0 then left = 'full' break end
    packetId = tonumber(redis.call('HGET', KEYS[1], 'packetId') or 0)
    repeat packetId = packetId % 32767 + 1 until redis.call('HEXISTS', inflight, 'out:' .. packetId) == 0
    redis.call('HSET', KEYS[1], 'packetId', packetId)
    redis.call('HSET', inflight, 'out:' .. packetId, 'sent ' .. id)
    room = room - 1
  end
  bytes = bytes + #message
  messages[#messages + 1] = id
  messages[#messages + 1] = tostring(packetId)
  messages[#messages + 1] = message
end
${KEEP_UNTIL_SESSION_ENDS(3)}
return { 1, left, released, received, messages }`)

/** The client has a QoS 2 message: what is left is to release it. KEYS session, queue, inflight. ARGV lease, packet id, id. */
export const RELEASE = new Script(`
${FENCE}
local queue = KEYS[2]
${REMOVE}
local state = redis.call('HGET', KEYS[3], 'out:' .. ARGV[2])
if state and state ~= 'sent ' .. ARGV[3] then return 1 end
redis.call('HSET', KEYS[3], 'out:' .. ARGV[2], 'released ' .. ARGV[3])
remove(ARGV[3])
${KEEP_UNTIL_SESSION_ENDS(3)}
return 1`)

/** The exchange is over. KEYS session, queue, inflight. ARGV lease, packet id, id or nothing. */
export const ACKNOWLEDGE = new Script(`
${FENCE}
local queue = KEYS[2]
${REMOVE}
local state = redis.call('HGET', KEYS[3], 'out:' .. ARGV[2])
if state and (string.sub(state, 1, 8) == 'released' or state == 'sent ' .. ARGV[3]) then
  redis.call('HDEL', KEYS[3], 'out:' .. ARGV[2])
end
if ARGV[3] ~= '' then remove(ARGV[3]) end
return 1`)

/**
 * QoS 2 messages of a client are about to be routed. KEYS session, inflight of the publisher. ARGV lease, then for each: packet
 * id, its digest, its token. A message that is sent again before it is completed has the token that it had. Returns for each
 * the token to route it under; empty: it has been routed.
 */
export const BEGIN = new Script(`
if redis.call('HGET', KEYS[1], 'lease') ~= ARGV[1] then return { 0 } end
local tokens = {}
for i = 2, #ARGV, 3 do
  local field, digest, token = 'in:' .. ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local state, known, was = string.match(redis.call('HGET', KEYS[2], field) or '', '^(%a+) (%S*) (%S*)$')
  if state and (was == digest or known == token) then
    token = state == 'received' and '' or known
  else
    redis.call('HSET', KEYS[2], field, 'begun ' .. token .. ' ' .. digest)
  end
  tokens[#tokens + 1] = token
end
${KEEP_UNTIL_SESSION_ENDS(2)}
return { 1, tokens }`)

/** It has been routed, PUBREC is due. KEYS session, inflight. ARGV lease, packet id. */
export const RECEIVED = new Script(`
${FENCE}
local known = string.match(redis.call('HGET', KEYS[2], 'in:' .. ARGV[2]) or '', '^%a+ (.*)$') or ' '
redis.call('HSET', KEYS[2], 'in:' .. ARGV[2], 'received ' .. known)
${KEEP_UNTIL_SESSION_ENDS(2)}
return 1`)

/** It has been released. One that has begun under the same packet id stays. KEYS session, inflight. ARGV lease, packet id. */
export const COMPLETE = new Script(`
${FENCE}
local state = redis.call('HGET', KEYS[2], 'in:' .. ARGV[2])
if state and string.sub(state, 1, 8) == 'received' then redis.call('HDEL', KEYS[2], 'in:' .. ARGV[2]) end
return 1`)

/** KEYS node. ARGV token, TTL in ms. */
export const RENEW_NODE = new Script(
  "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIRE',KEYS[1],ARGV[2]) end return 0",
)
/** KEYS node. ARGV token. */
export const REMOVE_NODE = new Script(
  "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0",
)
/** KEYS node. ARGV the token that is there, the one to take its place, TTL in ms. */
export const REPLACE_NODE = new Script(
  "if redis.call('GET',KEYS[1])==ARGV[1] then redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return 1 end return 0",
)
