#!lua name=plait1
--[[
The hand-overs of a run. Each function checks everything first and writes last, because Redis has no
rollback; each is idempotent by group id, so that a caller who lost the answer simply asks again.

All keys of a run share one hash tag and are named from their prefix, KEYS[1] = "plait:{RUN}:":

  prompts, rollouts   streams, one entry a group; entries are deleted when they are done with
  groups:<b>          hash, index -> "prompt <entry>" | "rollout <entry>" | "scored" |
                      "dead <entry>" | "parked <entry of dead>"
  batch:<b>           hash: expected fed arrived dropped samples right formatted accuracy previous
                      gate state (open, complete, ready) after next epsilon gated retried
  begun:<b>           hash, index -> "<worker> <life>" that computes it, "<index>:ended" -> workers whose life or
                      lease ended while they did, or who failed with it
  scored:<b>          hash, index -> scored group, "<index>:text" -> its rewards for people, and of each
                      group from its finish on "<index>:actor", "<index>:asked" (the prompt as it was fed),
                      from its commit on "<index>:counts" (samples right formatted)
  ready               stream, one entry a batch that is complete and whose gate is decided
  dropped:<b>         hash, index -> why a group is dead, by a rewarder or a person. What groups:<b> calls dead and
                      this does not know is not dropped: actors may write there and not here
  dead                stream, groups that failed or are parked, with the reason and the fields of their entry
  parked              hash, group -> its entry of dead: its batch waits for it, nobody works on it
  learner             the token of the learner that is at work; it expires
  events              short stream of what happened, for people
  retired             set of batches that are trained and durable
  ledger              hash: fed trained dropped scored, dropped:<reason>; failed: times that a worker
                      gave a group back because it came to nothing
  strikes             hash, actor -> groups of it that were not what was asked for
  quarantine          hash, actor -> why what it hands over is not taken any more

Any of these keys, or an entry of a stream, may be gone at any time: somebody deleted it, or Redis lost it. What
feed finds gone of a group is made again; what the ledger then does not account for, reconcile says was lost.
An entry that its group does not know is nobody's: it goes to `dead` alone, by whoever meets it.

A group is handed on only by the one who has its entry leased. What others say of it changes nothing: LOST.

The gate is decided in the order of batches: batch b waits for the one it comes `after`, whose
accuracy becomes its `previous`.
]]

local GROUP = {prompts = 'actors', rollouts = 'rewarders'}
local STATE = {prompts = 'prompt', rollouts = 'rollout'}

local function number(x)
    return string.format('%.17g', x)
end

local function is_entry(text) -- what Redis takes as the id of an entry
    local ms, n = string.match(text or '', '^(%d+)%-(%d+)$')
    return ms and #ms < 20 and #n < 20
end

local function word(text) -- "prompt 12-0" -> "prompt", "12-0"; '' where that is no entry
    local kind, entry = string.match(text, '^(%S+)%s*(%S*)$')
    return kind, is_entry(entry) and entry or ''
end

-- A line for people, name/value pairs; the newest some hundred are kept.
local function note(prefix, ...)
    redis.call('XADD', prefix .. 'events', 'MAXLEN', '~', '200', '*', ...)
end

-- The fields of a stream's entry by name.
local function named(list)
    local f = {}
    for i = 1, #list, 2 do
        f[list[i]] = list[i + 1]
    end
    return f
end

-- "12:3" of an entry as XRANGE gives it; '' where nobody's function made it.
local function id_of(entry)
    local list = entry[2]
    return list[1] == 'id' and list[2] or ''
end

local function place_of(entry)
    local b, index = string.match(id_of(entry), '^([a-z0-9]+):(%d+)$')
    if b and #b <= 31 and #index <= 15 then
        return b, index
    end
end

-- Who has an entry leased; nil: nobody.
local function holder(prefix, queue, entry)
    if entry == '' then
        return nil
    end
    local found = redis.pcall('XPENDING', prefix .. queue, GROUP[queue], entry, entry, 1)
    if found.err and not string.find(found.err, 'NOGROUP', 1, true) then
        error(found)
    end
    return not found.err and found[1] and found[1][2] or nil
end

-- HINCRBY. A count that is no number stays what it is, until it is counted again; nobody fails because of it.
local function add(key, field, n)
    local made = redis.pcall('HINCRBY', key, field, string.format('%d', n))
    if type(made) == 'number' then
        return made
    end
    if not string.find(made.err, 'integer', 1, true) and not string.find(made.err, 'overflow', 1, true) then
        error(made)
    end
end

-- What is counted under a reason; one that counts nothing goes.
local function count_dropped(prefix, reason, n)
    if add(prefix .. 'ledger', 'dropped:' .. reason, n) == 0 then
        redis.call('HDEL', prefix .. 'ledger', 'dropped:' .. reason)
    end
end

local function done_with(prefix, queue, entry)
    if entry == '' then
        return
    end
    redis.call('XACK', prefix .. queue, GROUP[queue], entry)
    redis.call('XDEL', prefix .. queue, entry)
end

-- An entry that somebody held of a group that is further on by now. A Redis that was emptied gives ids out
-- once more: it goes only if it is this group's.
local function done_late(prefix, queue, b, index, entry)
    if not is_entry(entry) then
        return
    end
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    if #found == 0 or id_of(found[1]) == b .. ':' .. index then
        done_with(prefix, queue, entry)
    end
end

-- Somebody hands on what another has by now. An entry that its group does not have any more goes.
local function lost(prefix, queue, b, index, entry, held)
    if entry ~= held then
        done_late(prefix, queue, b, index, entry)
    end
    return 'LOST'
end

-- ARGV[from], ARGV[from + 1], ... : a count, that many name/value pairs; returns them and what is next
local function pairs_at(argv, from)
    local list, n = {}, tonumber(argv[from])
    for i = 1, 2 * n do
        list[i] = argv[from + i]
    end
    return list, from + 2 * n + 1
end

-- id, the readable fields, pb
local function entry_of(b, index, fields, pb)
    local list = {'id', b .. ':' .. index}
    for i = 1, #fields do
        list[#list + 1] = fields[i]
    end
    list[#list + 1] = 'pb'
    list[#list + 1] = pb
    return list
end

-- Nobody computes a group any more; with `all`, nor is it known who ended while computing it.
local function unbegin(prefix, b, index, all)
    redis.call('HDEL', prefix .. 'begun:' .. b, index, all and index .. ':ended' or index)
end

-- The entries beside a group's scores, and those as well.
local function forget(prefix, b, index)
    redis.call('HDEL', prefix .. 'scored:' .. b, index, index .. ':text', index .. ':actor', index .. ':asked',
        index .. ':counts')
end

local function is_open(accuracy, previous, epsilon, gated)
    return gated == '0' or (tonumber(accuracy) or 0) > (tonumber(previous) or 0) - (tonumber(epsilon) or 0)
end

-- The gate of a batch that is complete, once the one before it is decided; then of those after it.
local function decide(prefix, b)
    while b do
        local key = prefix .. 'batch:' .. b
        local f = redis.call('HMGET', key, 'state', 'previous', 'accuracy', 'epsilon', 'gated', 'next')
        if f[1] ~= 'complete' or not f[2] or not f[3] then
            return
        end
        local open = is_open(f[3], f[2], f[4], f[5])
        local entry = redis.call('XADD', prefix .. 'ready', '*', 'batch', b, 'gate', open and '1' or '0',
            'accuracy', f[3], 'previous', f[2])
        redis.call('HSET', key, 'state', 'ready', 'gate', open and '1' or '0', 'entry', entry)
        if f[6] then
            redis.call('HSET', prefix .. 'batch:' .. f[6], 'previous', f[3])
        end
        note(prefix, 'event', 'ready', 'batch', b, 'gate', open and 'open' or 'shut', 'accuracy', f[3])
        b = f[6]
    end
end

-- Whether a group that is called dead was dropped by somebody who may.
local function is_dropped(prefix, b, index)
    return redis.call('HEXISTS', prefix .. 'dropped:' .. b, index) == 1
end

-- Whether the caller may drop a group of this batch: an actor, where roles have users of their own, may not.
local function may_drop(prefix, b, index)
    return redis.acl_check_cmd('HSET', prefix .. 'dropped:' .. b, index, '')
end

local function accuracy_of(samples, right)
    return number(samples > 0 and right / samples or 0)
end

-- Whether the batch is complete now and was not before.
local function settle(prefix, b)
    local key = prefix .. 'batch:' .. b
    local f = redis.call('HMGET', key, 'state', 'expected', 'arrived', 'dropped', 'samples', 'right')
    for i = 2, 6 do
        f[i] = tonumber(f[i] or nil)
    end
    if f[1] ~= 'open' or not (f[2] and f[3] and f[4] and f[5] and f[6]) or f[3] + f[4] < f[2] then
        return false
    end
    redis.call('HSET', key, 'state', 'complete', 'accuracy', accuracy_of(f[5], f[6]))
    decide(prefix, b)
    return true
end

-- A batch waits for one of its groups again: its gate is not decided any more, nor is that of the batch
-- behind it, which was compared with an accuracy that changes now. The learner has trained neither.
local function reopen(prefix, b)
    local key = prefix .. 'batch:' .. b
    local f = redis.call('HMGET', key, 'state', 'entry', 'next')
    if is_entry(f[2]) then
        redis.call('XDEL', prefix .. 'ready', f[2])
    end
    redis.call('HDEL', key, 'entry', 'gate', 'accuracy')
    redis.call('HSET', key, 'state', 'open')
    local behind = f[3] and prefix .. 'batch:' .. f[3]
    local g = behind and redis.call('HMGET', behind, 'state', 'entry', 'after')
    if not g or not g[1] or g[3] ~= b then
        return
    end
    if is_entry(g[2]) then
        redis.call('XDEL', prefix .. 'ready', g[2])
    end
    if g[1] == 'ready' then
        redis.call('HSET', behind, 'state', 'complete')
    end
    redis.call('HDEL', behind, 'entry', 'gate', 'previous')
end

local SAMPLES_MAX = 65536

-- What is written beside a score: samples, right, formatted; nil where that is no such thing.
local function counts_of(text)
    local samples, right, formatted = string.match(text or '', '^(%d+) (%d+) (%d+)$')
    samples, right, formatted = tonumber(samples), tonumber(right), tonumber(formatted)
    if samples and samples <= SAMPLES_MAX and right <= samples and formatted <= samples then
        return {samples, right, formatted}
    end
end

-- The counts of a batch, from its groups. It is open again where it came to something else; whether it is complete
-- is not said.
local function recount(prefix, b)
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    local f = redis.call('HMGET', key, 'state', 'expected', 'accuracy', 'gate', 'previous', 'epsilon', 'gated')
    local list, expected = redis.call('HGETALL', groups), tonumber(f[2] or 0) or 0
    local fed, arrived, dropped, sum = 0, 0, 0, {0, 0, 0}
    for i = 1, #list, 2 do
        local kind, index = word(list[i + 1]), tonumber(list[i])
        if not index or not string.match(list[i], '^%d+$') or tostring(index) ~= list[i] or index >= expected then
            redis.call('HDEL', groups, list[i]) -- nobody fed this one
            kind = nil
        else
            fed = fed + 1
        end
        if kind == 'scored' then
            local n = counts_of(redis.call('HGET', prefix .. 'scored:' .. b, list[i] .. ':counts'))
            arrived = arrived + 1
            for k = 1, n and 3 or 0 do
                sum[k] = sum[k] + n[k]
            end
        elseif kind == 'dead' and is_dropped(prefix, b, list[i]) then
            dropped = dropped + 1
        end
    end
    redis.call('HSET', key, 'fed', fed, 'arrived', arrived, 'dropped', dropped, 'samples', sum[1], 'right', sum[2],
        'formatted', sum[3])
    if f[1] ~= 'open' and (arrived + dropped < expected or f[3] ~= accuracy_of(sum[1], sum[2]) or
        f[1] == 'ready' and f[4] ~= (is_open(f[3], f[5], f[6], f[7]) and '1' or '0')) then
        reopen(prefix, b)
    end
end

-- What was made of a group, a rollout or its score, is taken back: it counts as dropped, and the group is
-- as if it had not been fed yet, so that the learner feeds it again.
local function unmake(prefix, b, index, kind, held, reason)
    local key, scored = prefix .. 'batch:' .. b, prefix .. 'scored:' .. b
    if kind == 'rollout' then
        done_with(prefix, 'rollouts', held)
    else
        local n = counts_of(redis.call('HGET', scored, index .. ':counts')) or {0, 0, 0}
        reopen(prefix, b)
        add(key, 'arrived', -1)
        for i, name in ipairs({'samples', 'right', 'formatted'}) do
            add(key, name, -n[i])
        end
        add(prefix .. 'ledger', 'scored', -1)
    end
    forget(prefix, b, index)
    unbegin(prefix, b, index, true)
    redis.call('HDEL', prefix .. 'groups:' .. b, index)
    add(key, 'fed', -1)
    add(prefix .. 'ledger', 'dropped', 1)
    count_dropped(prefix, reason, 1)
    note(prefix, 'event', 'unmade', 'group', b .. ':' .. index, 'reason', reason)
end

local function bar(prefix, actor, reason)
    if redis.call('HSETNX', prefix .. 'quarantine', actor, reason) == 1 then
        note(prefix, 'event', 'quarantined', 'actor', actor, 'reason', reason)
    end
end

-- The group of an entry that waits as a prompt, in a new entry that nobody holds.
local function queue_again(prefix, queue, b, index, entry, fields)
    local made = redis.call('XADD', prefix .. queue, '*', unpack(fields))
    done_with(prefix, queue, entry)
    unbegin(prefix, b, index, false)
    redis.call('HSET', prefix .. 'groups:' .. b, index, STATE[queue] .. ' ' .. made)
end

-- Workers that ended while they computed a group, and whoever has begun it and is not `alive`.
local function ended_of(prefix, b, index, alive)
    local f = redis.call('HMGET', prefix .. 'begun:' .. b, index, index .. ':ended')
    local list = {}
    for name in string.gmatch(f[2] or '', '%S+') do
        list[#list + 1] = name
    end
    if f[1] and f[1] ~= alive then
        list[#list + 1] = string.match(f[1], '^%S+') or '?'
    end
    return list
end

local function note_ended(prefix, b, index, list)
    unbegin(prefix, b, index, false)
    if #list > 0 then
        redis.call('HSET', prefix .. 'begun:' .. b, index .. ':ended', table.concat(list, ' '))
    end
end

-- An entry that its holder has left: anybody's again, if it is still its group's. Whether it is. `died`: it did
-- not leave by itself.
local function let_go(prefix, queue, entry, died)
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    local b, index = nil, nil
    if #found == 1 then
        b, index = place_of(found[1])
    end
    if b and redis.call('HGET', prefix .. 'groups:' .. b, index) == STATE[queue] .. ' ' .. entry then
        if died then
            note_ended(prefix, b, index, ended_of(prefix, b, index))
        end
        queue_again(prefix, queue, b, index, entry, found[1][2])
        return true
    end
    done_with(prefix, queue, entry)
    return false
end

-- Fields of an entry of `dead` that are its own; the others are those of the entry that was buried.
local OWN = {id = true, reason = true, where = true, worker = true, deliveries = true, late = true, parked = true,
    pb = true}

-- To dead: own, name/value pairs, then what else stands in the entry `found`, then pb. Its entry there.
local function to_dead(prefix, own, found, pb)
    for i = 1, found and #found[2] or 0, 2 do
        if not OWN[found[2][i]] then
            own[#own + 1] = found[2][i]
            own[#own + 1] = found[2][i + 1]
        end
    end
    own[#own + 1] = 'pb'
    own[#own + 1] = pb or found and named(found[2]).pb or ''
    return redis.call('XADD', prefix .. 'dead', '*', unpack(own))
end

-- An entry that no group has goes by itself; it counts nowhere, or was counted lost when its group was fed again.
local function bury_entry(prefix, queue, found, worker, reason)
    to_dead(prefix, {'id', id_of(found), 'reason', reason, 'where', queue, 'worker', worker, 'deliveries', 0, 'late',
        1}, found)
    done_with(prefix, queue, found[1])
    note(prefix, 'event', 'buried', 'entry', found[1], 'queue', queue, 'worker', worker, 'reason', reason)
end

-- The batch waits, but nobody takes the group any more until it is put back.
local function set_aside(prefix, queue, b, index, found, worker, ended, reason)
    local id = b .. ':' .. index
    local made = to_dead(prefix, {'id', id, 'reason', reason, 'where', queue, 'worker', worker, 'deliveries', #ended,
        'parked', 1}, found)
    done_with(prefix, queue, found[1])
    note_ended(prefix, b, index, ended)
    redis.call('HSET', prefix .. 'groups:' .. b, index, 'parked ' .. made)
    redis.call('HSET', prefix .. 'parked', id, made)
    note(prefix, 'event', 'parked', 'group', id, 'queue', queue, 'ended', #ended)
end

-- The same of a group that too many workers ended or failed with.
local function park(prefix, queue, b, index, found, ended, reason)
    reason = string.format('%d workers %s it: %s', #ended, reason and 'failed with' or 'ended while they computed',
        table.concat(ended, ' ')) .. (reason and '; the last one: ' .. reason or '')
    set_aside(prefix, queue, b, index, found, ended[#ended], ended, reason)
end

-- Whether what is said of a group is there: its entry, its score.
local function is_there(prefix, b, index, kind, held)
    local id = b .. ':' .. index
    if held == '' and kind ~= 'scored' and kind ~= 'dead' then
        return false
    end
    if kind == 'prompt' or kind == 'rollout' then
        local found = redis.call('XRANGE', prefix .. kind .. 's', held, held)
        return #found == 1 and id_of(found[1]) == id
    elseif kind == 'parked' then
        local found = redis.call('XRANGE', prefix .. 'dead', held, held)
        if #found == 1 and id_of(found[1]) == id then
            redis.call('HSETNX', prefix .. 'parked', id, held)
            return true
        end
        return false
    elseif kind == 'scored' then
        local scored = prefix .. 'scored:' .. b
        return redis.call('HEXISTS', scored, index) == 1 and counts_of(redis.call('HGET', scored, index .. ':counts'))
    end
    return kind == 'dead' and is_dropped(prefix, b, index)
end

local function is_behind(entry, last) -- 12-3 is behind 12-4
    local ms, n = string.match(entry, '^(%d+)%-(%d+)$')
    local last_ms, last_n = string.match(last, '^(%d+)%-(%d+)$')
    ms, last_ms = tonumber(ms), tonumber(last_ms)
    return ms < last_ms or ms == last_ms and tonumber(n) <= tonumber(last_n)
end

-- An entry that nobody has, and nobody will be given: its readers are said to be further on, because whoever had
-- it was taken off their list, or somebody set them there.
local function is_stranded(prefix, queue, entry)
    if holder(prefix, queue, entry) then
        return false
    end
    for _, group in ipairs(redis.call('XINFO', 'GROUPS', prefix .. queue)) do
        local f = named(group)
        if f.name == GROUP[queue] then
            return is_behind(entry, f['last-delivered-id'])
        end
    end
    return false
end

-- What was known of a group is gone: it is as if it had not been fed.
local function lose(prefix, b, index, kind, held)
    if kind == 'prompt' or kind == 'rollout' then
        done_late(prefix, kind .. 's', b, index, held) -- it may still be called leased
    elseif kind == 'parked' then
        redis.call('HDEL', prefix .. 'parked', b .. ':' .. index)
    elseif kind == 'scored' then
        add(prefix .. 'ledger', 'scored', -1)
    end
    forget(prefix, b, index)
    unbegin(prefix, b, index, true)
    redis.call('HDEL', prefix .. 'groups:' .. b, index)
    redis.call('HDEL', prefix .. 'dropped:' .. b, index)
    add(prefix .. 'ledger', 'dropped', 1)
    count_dropped(prefix, 'lost', 1)
    recount(prefix, b)
    note(prefix, 'event', 'lost', 'group', b .. ':' .. index, 'was', kind or '?')
end

-- What this batch is compared with, once it is known: by the feeder, or by the batch before, which is told who
-- comes next.
local function link(prefix, b, after, previous)
    local key, before = prefix .. 'batch:' .. b, prefix .. 'batch:' .. after
    if after == '' or redis.call('SISMEMBER', prefix .. 'retired', after) == 1 then
        redis.call('HSET', key, 'previous', previous)
        return
    end
    local of = redis.call('HMGET', before, 'state', 'accuracy', 'next')
    if of[1] and of[3] ~= b then
        redis.call('HSET', before, 'next', b)
    end
    if of[1] == 'ready' and of[2] then
        redis.call('HSET', key, 'previous', of[2])
    end
end

-- batch index expected after previous epsilon gated | fields | pb
-- Where the feeder knows what the batch before came to, `after` is empty and `previous` says so; it knows better
-- than what is there.
local function feed(keys, argv)
    local prefix, b, index = keys[1], argv[1], argv[2]
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    if redis.call('SISMEMBER', prefix .. 'retired', b) == 1 then
        return 'RETIRED'
    end
    local fields, at = pairs_at(argv, 8)
    local f = redis.call('HMGET', key, 'state', 'previous', 'expected')
    if index == '0' or not f[1] or f[3] ~= argv[3] then
        redis.call('HSET', key, 'state', f[1] or 'open', 'expected', argv[3], 'after', argv[4], 'epsilon', argv[6],
            'gated', argv[7])
        if argv[4] == '' then -- whatever Redis thinks, and its gate with it
            redis.call('HSET', key, 'previous', argv[5])
        end
        recount(prefix, b)
    end
    local previous = tonumber(argv[4] ~= '' and f[2] or nil)
    if not previous or not (previous >= 0 and previous <= 1) then
        link(prefix, b, argv[4], argv[5])
        decide(prefix, b)
    end
    local state = redis.call('HGET', groups, index)
    if state then
        local kind, held = word(state)
        if is_there(prefix, b, index, kind, held) then
            local queue = kind == 'prompt' and 'prompts' or kind == 'rollout' and 'rollouts'
            if queue and is_stranded(prefix, queue, held) then
                let_go(prefix, queue, held, true)
            end
            settle(prefix, b)
            return 'REPEATED'
        end
        lose(prefix, b, index, kind, held)
    elseif redis.call('HEXISTS', prefix .. 'scored:' .. b, index) == 1 then -- its group is what was lost
        lose(prefix, b, index, 'scored', '')
    end
    local entry = redis.call('XADD', prefix .. 'prompts', '*', unpack(entry_of(b, index, fields, argv[at])))
    redis.call('HSET', groups, index, 'prompt ' .. entry)
    add(key, 'fed', 1)
    add(prefix .. 'ledger', 'fed', 1)
    return 'DONE'
end

-- batch: whether nothing of it is missing that can be seen without reading its entries: 1 or 0
local function whole(keys, argv)
    local prefix, b = keys[1], argv[1]
    local f = redis.call('HMGET', prefix .. 'batch:' .. b, 'state', 'expected')
    local list = redis.call('HVALS', prefix .. 'groups:' .. b)
    local n = {prompt = 0, rollout = 0, scored = 0, parked = 0, dead = 0}
    if not f[1] or f[2] ~= tostring(#list) then
        return 0
    end
    for i = 1, #list do
        local kind = word(list[i]) or ''
        n[kind] = (n[kind] or 0) + 1
    end
    return n.prompt <= redis.call('XLEN', prefix .. 'prompts') and n.rollout <= redis.call('XLEN', prefix .. 'rollouts')
        and n.parked <= redis.call('HLEN', prefix .. 'parked')
        and n.dead <= redis.call('HLEN', prefix .. 'dropped:' .. b)
        and n.scored <= redis.call('HLEN', prefix .. 'scored:' .. b) and 1 or 0
end

-- batch: what it came to is no such thing; all of it is counted again, and what it is compared with is asked for
local function recount_batch(keys, argv)
    local prefix, key = keys[1], keys[1] .. 'batch:' .. argv[1]
    local state = redis.call('HGET', key, 'state')
    if not state or not tonumber(redis.call('HGET', key, 'expected')) then
        redis.call('HDEL', key, 'state')
        return 'RETIRED'
    end
    if state ~= 'open' then
        reopen(prefix, argv[1])
    end
    redis.call('HDEL', key, 'previous')
    recount(prefix, argv[1])
    settle(prefix, argv[1])
    return 'DONE'
end

-- batch index entry actor | fields | pb
-- What a quarantined actor hands over is not taken: what it holds is anybody else's at once.
local function finish(keys, argv)
    local prefix, b, index, entry, actor = keys[1], argv[1], argv[2], argv[3], argv[4]
    local groups = prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    local kind, held = nil, nil
    if state then
        kind, held = word(state)
    end
    if redis.call('HEXISTS', prefix .. 'quarantine', actor) == 1 then
        local found = kind == 'prompt' and held == entry and holder(prefix, 'prompts', entry) == actor and
            redis.call('XRANGE', prefix .. 'prompts', entry, entry)
        if found and #found == 1 then
            queue_again(prefix, 'prompts', b, index, entry, found[1][2])
        end
        return 'REFUSED'
    end
    if kind ~= 'prompt' then
        done_late(prefix, 'prompts', b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
    end
    if holder(prefix, 'prompts', held) ~= actor then
        return lost(prefix, 'prompts', b, index, entry, held)
    end
    local fields, at = pairs_at(argv, 5)
    local asked = redis.call('XRANGE', prefix .. 'prompts', held, held)
    for i = 1, #asked == 1 and #asked[1][2] or 0, 2 do
        if asked[1][2][i] == 'pb' then
            redis.call('HSET', prefix .. 'scored:' .. b, index .. ':asked', asked[1][2][i + 1])
        end
    end
    redis.call('HSET', prefix .. 'scored:' .. b, index .. ':actor', actor)
    local made = redis.call('XADD', prefix .. 'rollouts', '*', unpack(entry_of(b, index, fields, argv[at])))
    done_with(prefix, 'prompts', held)
    if entry ~= held then
        done_late(prefix, 'prompts', b, index, entry)
    end
    unbegin(prefix, b, index, true)
    redis.call('HSET', groups, index, 'rollout ' .. made)
    return 'DONE'
end

-- batch index entry worker samples right formatted text pb; COMPLETE: it was the last that its batch waited for
local function commit(keys, argv)
    local prefix, b, index, entry = keys[1], argv[1], argv[2], argv[3]
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    local kind, held = nil, nil
    if state then
        kind, held = word(state)
    end
    if kind ~= 'rollout' then
        done_late(prefix, 'rollouts', b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
    end
    if holder(prefix, 'rollouts', held) ~= argv[4] then
        return lost(prefix, 'rollouts', b, index, entry, held)
    end
    redis.call('HSET', prefix .. 'scored:' .. b, index, argv[9], index .. ':text', argv[8], index .. ':counts',
        argv[5] .. ' ' .. argv[6] .. ' ' .. argv[7])
    redis.call('HDEL', prefix .. 'scored:' .. b, index .. ':asked')
    add(key, 'arrived', 1)
    add(key, 'samples', argv[5])
    add(key, 'right', argv[6])
    add(key, 'formatted', argv[7])
    done_with(prefix, 'rollouts', held)
    if entry ~= held then
        done_late(prefix, 'rollouts', b, index, entry)
    end
    unbegin(prefix, b, index, true)
    redis.call('HSET', groups, index, 'scored')
    add(prefix .. 'ledger', 'scored', 1)
    return settle(prefix, b) and 'COMPLETE' or 'DONE'
end

-- queue batch index entry reason worker deliveries pb: its batch goes on without it, or, where the caller may not
-- drop a group, waits for somebody to look at it
local function bury(keys, argv)
    local prefix, queue, b, index, entry = keys[1], argv[1], argv[2], argv[3], argv[4]
    local groups = prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    local kind, held = nil, nil
    if not GROUP[queue] then
        return redis.error_reply('ERR plait: no queue ' .. queue)
    end
    if state then
        kind, held = word(state)
    end
    if state and kind ~= STATE[queue] then
        done_late(prefix, queue, b, index, entry)
        return 'REPEATED'
    end
    if state and (held ~= entry or holder(prefix, queue, held) ~= argv[6]) then
        return lost(prefix, queue, b, index, entry, held)
    end
    local list = {'id', b .. ':' .. index, 'reason', argv[5], 'where', queue, 'worker', argv[6],
        'deliveries', argv[7]}
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    -- A Redis that was emptied gives ids out once more: what is there may be another group's.
    local own = #found > 0 and id_of(found[1]) == b .. ':' .. index and found[1] or nil
    if state and own and not may_drop(prefix, b, index) then
        set_aside(prefix, queue, b, index, own, argv[6], ended_of(prefix, b, index), argv[5])
        return 'DONE'
    end
    if not state then -- its batch is over or unknown: it counts nowhere
        list[#list + 1] = 'late'
        list[#list + 1] = '1'
    end
    local made = to_dead(prefix, list, own, argv[8])
    done_late(prefix, queue, b, index, entry)
    note(prefix, 'event', 'buried', 'group', b .. ':' .. index, 'worker', argv[6], 'reason', argv[5])
    if not state then
        return 'RETIRED'
    end
    unbegin(prefix, b, index, true)
    redis.call('HSET', groups, index, 'dead ' .. made)
    redis.call('HSET', prefix .. 'dropped:' .. b, index, argv[5])
    add(prefix .. 'batch:' .. b, 'dropped', 1)
    add(prefix .. 'ledger', 'dropped', 1)
    count_dropped(prefix, argv[5], 1)
    settle(prefix, b)
    return 'DONE'
end

-- queue batch index entry worker life: it begins to compute the group
local function begin(keys, argv)
    local prefix, queue, b, index, entry = keys[1], argv[1], argv[2], argv[3], argv[4]
    local state = redis.call('HGET', prefix .. 'groups:' .. b, index)
    if not GROUP[queue] then
        return redis.error_reply('ERR plait: no queue ' .. queue)
    end
    if not state then
        return 'RETIRED'
    end
    if word(state) ~= STATE[queue] then
        return 'REPEATED'
    end
    if state ~= STATE[queue] .. ' ' .. entry or holder(prefix, queue, entry) ~= argv[5] then
        return 'LOST'
    end
    redis.call('HSET', prefix .. 'begun:' .. b, index, argv[5] .. ' ' .. argv[6])
    return 'DONE'
end

local SUSPICIOUS = 2

-- What a worker may do with an entry: true and how many ended while they computed it; false: it must hold nothing
-- else; nil: nothing, it is taken care of. `w`: queue worker life most holding; `said`: gets a line of what was done.
local function look_at(prefix, w, entry, fresh, said)
    local found = redis.call('XRANGE', prefix .. w.queue, entry, entry)
    if #found == 0 then
        redis.call('XACK', prefix .. w.queue, GROUP[w.queue], entry)
        said[#said + 1] = 'gone entry=' .. entry .. ' queue=' .. w.queue
        return nil
    end
    local b, index = place_of(found[1])
    if not b or redis.call('HGET', prefix .. 'groups:' .. b, index) ~= STATE[w.queue] .. ' ' .. entry then
        local reason = b and 'its group does not know it' or 'it is no group of the run'
        bury_entry(prefix, w.queue, found[1], w.worker, reason)
        said[#said + 1] = 'buried entry=' .. entry .. ' queue=' .. w.queue .. ' reason="' .. reason .. '"'
        return nil
    end
    local alive = w.worker .. ' ' .. w.life
    local mark = redis.call('HGET', prefix .. 'begun:' .. b, index)
    if fresh and mark then -- the queue's readers were made again: nobody has ended
        unbegin(prefix, b, index, false)
        mark = nil
    end
    local ended = ended_of(prefix, b, index, alive)
    if #ended >= w.most then
        park(prefix, w.queue, b, index, found[1], ended)
        said[#said + 1] = string.format('parked group=%s:%s queue=%s ended=%d', b, index, w.queue, #ended)
        return nil
    end
    if #ended >= SUSPICIOUS and w.holding > 0 then
        return false
    end
    if mark and mark ~= alive then
        note_ended(prefix, b, index, ended)
    end
    return true, #ended, found[1][2]
end

-- queue worker life lease_ms most holding from fresh: what this worker is to work on, of what it holds behind the
-- entry `from` ('': nothing), then of what others have abandoned; or whether `fresh`, which it was just given, is
-- good. An entry or '', how many ended while they computed it, up to where its own was read, whether something is
-- left for when it holds nothing else, lines of what was done; then the fields, of what is not fresh.
local function lease(keys, argv)
    local prefix, said, left = keys[1], {}, 0
    local w = {queue = argv[1], worker = argv[2], life = argv[3], most = tonumber(argv[5]), holding = tonumber(argv[6])}
    local key, group, from, fresh = prefix .. w.queue, GROUP[w.queue], argv[7], argv[8]
    if not group then
        return redis.error_reply('ERR plait: no queue ' .. w.queue)
    end
    if fresh ~= '' and holder(prefix, w.queue, fresh) ~= w.worker then -- it came too late to look at it
        return {'', 0, from, 0, said}
    end
    if fresh ~= '' then
        local good, ended = look_at(prefix, w, fresh, true, said)
        return {good and fresh or '', ended or 0, from, good == false and 1 or 0, said}
    end
    while from ~= '' do
        local own = redis.call('XPENDING', key, group, from == '0' and '-' or '(' .. from, '+', 1, w.worker)
        if #own == 0 then
            from = ''
            break
        end
        from = own[1][1]
        local good, ended, fields = look_at(prefix, w, from, false, said)
        if good then
            redis.call('XCLAIM', key, group, w.worker, 0, from, 'JUSTID')
            return {from, ended, from, left, said, fields}
        end
        left = good == false and 1 or left
    end
    local start = '-'
    repeat
        local idle = redis.call('XPENDING', key, group, 'IDLE', argv[4], start, '+', 16)
        for i = 1, #idle do
            local entry = idle[i][1]
            local good, ended, fields = look_at(prefix, w, entry, false, said)
            if good then
                redis.call('XCLAIM', key, group, w.worker, 0, entry, 'JUSTID')
                return {entry, ended, from, left, said, fields}
            end
            start = '(' .. entry
        end
    until #idle < 16
    return {'', 0, from, left, said}
end

-- Whether a batch's gate and accuracy may change: none was told to the learner, or it is one that the
-- learner takes after the step that it is at.
local function may_reopen(prefix, b, state)
    local step = redis.call('HGET', prefix .. 'run', 'step')
    return state ~= 'ready' or (tonumber(b) and step and tonumber(b) > tonumber(step))
end

-- The group of an entry of `dead`, back in the queue that it came from.
local function back_from_dead(prefix, b, index, entry, f, list)
    local fields = {}
    for i = 1, #list, 2 do
        if not OWN[list[i]] then
            fields[#fields + 1] = list[i]
            fields[#fields + 1] = list[i + 1]
        end
    end
    local made = redis.call('XADD', prefix .. f.where, '*', unpack(entry_of(b, index, fields, f.pb)))
    redis.call('HSET', prefix .. 'groups:' .. b, index, STATE[f.where] .. ' ' .. made)
    redis.call('HDEL', prefix .. 'parked', f.id)
    add(prefix .. 'batch:' .. b, 'retried', 1)
    redis.call('XDEL', prefix .. 'dead', entry)
    note(prefix, 'event', 'retried', 'group', f.id, 'where', f.where)
end

-- entry of dead: the group goes back into the queue that it came from, nobody's, and its batch waits
-- for it again. GONE: there is no such entry (any more); UNREADABLE: it lacks what it takes; RETIRED,
-- REPLACED, TAKEN: nothing can use it.
local function retry(keys, argv)
    local prefix, entry = keys[1], argv[1]
    local found = is_entry(entry) and redis.call('XRANGE', prefix .. 'dead', entry, entry) or {}
    if #found == 0 then
        return 'GONE'
    end
    local f = named(found[1][2])
    local b, index = string.match(f.id or '', '^(%w+):(%d+)$')
    if not b or not GROUP[f.where] or not f.pb then
        return 'UNREADABLE'
    end
    local key = prefix .. 'batch:' .. b
    local state = redis.call('HGET', prefix .. 'groups:' .. b, index)
    if not state then
        return 'RETIRED'
    end
    local kind, held = word(state)
    if (kind ~= 'dead' and kind ~= 'parked') or (held ~= '' and held ~= entry) then
        return 'REPLACED'
    end
    local of = redis.call('HGET', key, 'state')
    if not of or (kind == 'dead' and not may_reopen(prefix, b, of)) then
        return 'TAKEN'
    end
    if kind == 'dead' then
        reopen(prefix, b)
        redis.call('HDEL', prefix .. 'dropped:' .. b, index)
        add(key, 'dropped', -1)
        add(prefix .. 'ledger', 'dropped', -1)
        count_dropped(prefix, f.reason or '', -1)
    end
    unbegin(prefix, b, index, true) -- somebody has looked at it
    back_from_dead(prefix, b, index, entry, f, found[1][2])
    return 'DONE'
end

-- most: groups that are parked and their entries of dead. What is listed and is not parked, whoever wrote it, goes.
local function parked_groups(keys, argv)
    local prefix, most, list = keys[1], tonumber(argv[1]), {}
    local all = redis.call('HGETALL', prefix .. 'parked')
    for i = 1, #all, 2 do
        local b, index = string.match(all[i], '^(%w+):(%d+)$')
        if not b or redis.call('HGET', prefix .. 'groups:' .. b, index) ~= 'parked ' .. all[i + 1] then
            redis.call('HDEL', prefix .. 'parked', all[i])
        elseif #list < 2 * most then
            list[#list + 1] = all[i]
            list[#list + 1] = all[i + 1]
        end
    end
    return list
end

-- entry of dead: the same of a group that is parked, as the learner does it after a pause. It is still suspicious:
-- the next one that ends with it parks it again.
local function unpark(keys, argv)
    local prefix, entry = keys[1], argv[1]
    local found = is_entry(entry) and redis.call('XRANGE', prefix .. 'dead', entry, entry) or {}
    if #found == 0 then
        return 'GONE'
    end
    local f = named(found[1][2])
    local b, index = string.match(f.id or '', '^(%w+):(%d+)$')
    if not b or not GROUP[f.where] or not f.pb or
        redis.call('HGET', prefix .. 'groups:' .. b, index) ~= 'parked ' .. entry then
        return 'REPLACED'
    end
    local ended = ended_of(prefix, b, index)
    table.remove(ended, 1)
    unbegin(prefix, b, index, true)
    note_ended(prefix, b, index, ended)
    back_from_dead(prefix, b, index, entry, f, found[1][2])
    return 'DONE'
end

-- entry of dead, reason or '': it is looked at and goes for good. The group stays dropped, for the
-- reason that is given now.
local function drop(keys, argv)
    local prefix, entry, reason = keys[1], argv[1], argv[2]
    local found = is_entry(entry) and redis.call('XRANGE', prefix .. 'dead', entry, entry) or {}
    if #found == 0 then
        return 'GONE'
    end
    local f = named(found[1][2])
    local b, index = string.match(f.id or '', '^(%w+):(%d+)$')
    if reason == '' then
        reason = f.reason or ''
    end
    local state = b and redis.call('HGET', prefix .. 'groups:' .. b, index)
    if state == 'parked ' .. entry then -- its batch goes on without it
        redis.call('HDEL', prefix .. 'parked', f.id)
        add(prefix .. 'batch:' .. b, 'dropped', 1)
        add(prefix .. 'ledger', 'dropped', 1)
        count_dropped(prefix, reason, 1)
    elseif not f.late and reason ~= f.reason then
        count_dropped(prefix, f.reason or '', -1)
        count_dropped(prefix, reason, 1)
    end
    if state == 'dead ' .. entry or state == 'parked ' .. entry then
        redis.call('HSET', prefix .. 'groups:' .. b, index, 'dead')
        redis.call('HSET', prefix .. 'dropped:' .. b, index, reason)
        settle(prefix, b)
    end
    redis.call('XDEL', prefix .. 'dead', entry)
    note(prefix, 'event', 'dropped', 'group', f.id or '?', 'reason', reason)
    return 'DONE'
end

-- queue batch index entry worker [reason most]: the same group as a new entry that nobody holds. With a reason
-- it came to nothing here: the worker counts as one that ended with it, and at `most` of them it is parked.
local function give_back(keys, argv)
    local prefix, queue, b, index, entry = keys[1], argv[1], argv[2], argv[3], argv[4]
    local groups = prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    if not GROUP[queue] then
        return redis.error_reply('ERR plait: no queue ' .. queue)
    end
    local kind, held = nil, nil
    if state then
        kind, held = word(state)
    end
    if kind ~= STATE[queue] then
        done_late(prefix, queue, b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
    end
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    if held ~= entry or #found == 0 or holder(prefix, queue, entry) ~= argv[5] then
        return lost(prefix, queue, b, index, entry, held)
    end
    if (argv[6] or '') == '' then
        queue_again(prefix, queue, b, index, entry, found[1][2])
        return 'DONE'
    end
    local begun = redis.call('HEXISTS', prefix .. 'begun:' .. b, index) == 1
    local ended = ended_of(prefix, b, index)
    if not begun then
        ended[#ended + 1] = argv[5]
    end
    add(prefix .. 'ledger', 'failed', 1)
    if #ended >= tonumber(argv[7]) then
        park(prefix, queue, b, index, found[1], ended, argv[6])
        return 'DONE'
    end
    note_ended(prefix, b, index, ended)
    queue_again(prefix, queue, b, index, entry, found[1][2])
    note(prefix, 'event', 'failed', 'group', b .. ':' .. index, 'queue', queue, 'worker', argv[5], 'reason', argv[6])
    return 'DONE'
end

-- batch index entry sha1 reason worker strikes pb: what an actor made of a group is not what was asked for,
-- as a rewarder says of the rollout `entry`, or the learner (entry '') of the scored group of that sha1. It
-- goes to `dead`, the group is to be made anew, and the actor has a strike (strikes -1: none); at that many, 0: never,
-- it is quarantined.
local function refuse(keys, argv)
    local prefix, b, index, entry, strikes = keys[1], argv[1], argv[2], argv[3], tonumber(argv[7])
    local state = redis.call('HGET', prefix .. 'groups:' .. b, index)
    local kind, held = nil, nil
    if state then
        kind, held = word(state)
    end
    if entry ~= '' and (kind ~= 'rollout' or held ~= entry) then
        done_late(prefix, 'rollouts', b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
    end
    if entry ~= '' and holder(prefix, 'rollouts', entry) ~= argv[6] then
        return 'LOST'
    end
    local made = entry == '' and redis.call('HGET', prefix .. 'scored:' .. b, index)
    if entry == '' and (kind ~= 'scored' or not made or redis.sha1hex(made) ~= argv[4]) then
        return state and 'REPEATED' or 'RETIRED'
    end
    local actor = redis.call('HGET', prefix .. 'scored:' .. b, index .. ':actor') or '?'
    redis.call('XADD', prefix .. 'dead', '*', 'id', b .. ':' .. index, 'reason', argv[5], 'where',
        entry == '' and 'scored' or 'rollouts', 'worker', argv[6], 'deliveries', 1, 'actor', actor, 'pb', argv[8])
    unmake(prefix, b, index, kind, held, 'refused')
    if strikes >= 0 and (add(prefix .. 'strikes', actor, 1) or strikes) >= strikes and strikes > 0 then
        bar(prefix, actor, argv[5])
    end
    return 'DONE'
end

-- actor reason batch...: the actor is quarantined, or, with an empty reason, it is only seen to that nothing
-- is left of one that is. The prompts that it holds are anybody else's at once; what it made of these batches,
-- which are not trained yet, is to be made anew. How many these were, prompts and groups.
local function quarantine(keys, argv)
    local prefix, actor, reason = keys[1], argv[1], argv[2]
    if reason == '' and redis.call('HEXISTS', prefix .. 'quarantine', actor) == 0 then
        return {0, 0}
    end
    local held = {}
    if redis.call('EXISTS', prefix .. 'prompts') == 1 then
        held = redis.pcall('XPENDING', prefix .. 'prompts', GROUP.prompts, '-', '+', 100000, actor)
    end
    if reason ~= '' then
        bar(prefix, actor, reason)
    end
    local leases, groups = 0, 0
    for i = 1, held.err and 0 or #held do
        if let_go(prefix, 'prompts', held[i][1], false) then
            leases = leases + 1
        end
    end
    for i = 3, #argv do
        local b = argv[i]
        local names = redis.call('HKEYS', prefix .. 'scored:' .. b)
        for k = 1, #names do
            local index = string.match(names[k], '^(%d+):actor$')
            if index and redis.call('HGET', prefix .. 'scored:' .. b, names[k]) == actor then
                local kind, entry = word(redis.call('HGET', prefix .. 'groups:' .. b, index) or '- ')
                if kind == 'rollout' or kind == 'scored' then
                    unmake(prefix, b, index, kind, entry, 'quarantined')
                    groups = groups + 1
                end
            end
        end
    end
    return {leases, groups}
end

-- batch index sha1 samples right formatted reason | fields | pb: a scored group is to be made once more.
-- What is scored must be what the caller read, by its sha1, or this was done already. The made one counts as
-- dropped, the new one as fed. The batch is open again; its gate is decided anew, with the accuracy that it
-- comes to then, and so is the gate of the batch behind it.
local function redo(keys, argv)
    local prefix, b, index = keys[1], argv[1], argv[2]
    local key, groups, scored = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b, prefix .. 'scored:' .. b
    local state = redis.call('HGET', groups, index)
    local made = redis.call('HGET', scored, index)
    if state ~= 'scored' or not made or redis.sha1hex(made) ~= argv[3] then
        return state and 'REPEATED' or 'RETIRED'
    end
    local fields, at = pairs_at(argv, 8)
    reopen(prefix, b)
    add(key, 'arrived', -1)
    for i, name in ipairs({'samples', 'right', 'formatted'}) do
        add(key, name, -tonumber(argv[3 + i]))
    end
    forget(prefix, b, index)
    unbegin(prefix, b, index, true)
    local entry = redis.call('XADD', prefix .. 'prompts', '*', unpack(entry_of(b, index, fields, argv[at])))
    redis.call('HSET', groups, index, 'prompt ' .. entry)
    add(prefix .. 'ledger', 'fed', 1)
    add(prefix .. 'ledger', 'scored', -1)
    add(prefix .. 'ledger', 'dropped', 1)
    count_dropped(prefix, argv[7], 1)
    note(prefix, 'event', 'redone', 'group', b .. ':' .. index, 'reason', argv[7])
    return 'DONE'
end

-- queue consumer entry...: 1 for each that is another's by now or gone, else 0; those are kept alive
local function renew(keys, argv)
    local key, group, consumer, lost = keys[1] .. argv[1], GROUP[argv[1]], argv[2], {}
    for i = 3, #argv do
        local found = redis.call('XPENDING', key, group, argv[i], argv[i], 1)
        if #found == 1 and found[1][2] == consumer then
            redis.call('XCLAIM', key, group, consumer, 0, argv[i], 'JUSTID')
            lost[#lost + 1] = 0
        else
            lost[#lost + 1] = 1
        end
    end
    return lost
end

-- All that is known of a batch goes, and what is left of it in queues. How many of its groups were scored, how
-- many are not dead.
local function clear(prefix, b)
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    local entry = redis.call('HGET', key, 'entry')
    local list, scored, alive = redis.call('HGETALL', groups), 0, 0
    for i = 1, #list, 2 do
        local kind, held = word(list[i + 1])
        for queue, name in pairs(STATE) do
            if kind == name then
                done_with(prefix, queue, held)
            end
        end
        if kind == 'parked' then
            redis.call('HDEL', prefix .. 'parked', b .. ':' .. list[i])
        end
        scored = scored + (kind == 'scored' and 1 or 0)
        alive = alive + (kind == 'dead' and is_dropped(prefix, b, list[i]) and 0 or 1)
    end
    if is_entry(entry) then
        redis.call('XDEL', prefix .. 'ready', entry)
    end
    redis.call('DEL', key, groups, prefix .. 'scored:' .. b, prefix .. 'begun:' .. b, prefix .. 'dropped:' .. b)
    add(prefix .. 'ledger', 'scored', -scored)
    return alive
end

local function wipe(prefix, b)
    local gone = clear(prefix, b)
    if gone > 0 then
        add(prefix .. 'ledger', 'dropped', gone)
        count_dropped(prefix, 'rewound', gone)
    end
    return gone
end

-- batch: after the checkpoint that contains it is durable. It is trained, whatever is known of it here:
-- Redis may have gone back a little when it was started again. What is left of it in queues goes; what somebody
-- wrote of it since it was retired counts nowhere.
local function retire(keys, argv)
    local prefix, b = keys[1], argv[1]
    if redis.call('SISMEMBER', prefix .. 'retired', b) == 1 then
        clear(prefix, b)
        return 'REPEATED'
    end
    add(prefix .. 'ledger', 'trained', clear(prefix, b))
    redis.call('SADD', prefix .. 'retired', b)
    note(prefix, 'event', 'retired', 'batch', b)
    return 'DONE'
end

-- batch: the run has no such one. What there is of it goes, and counts nowhere until the ledger is reconciled.
local function forsake(keys, argv)
    clear(keys[1], argv[1])
    note(keys[1], 'event', 'forsaken', 'batch', argv[1])
    return 'DONE'
end

-- step purge batch...: the learner goes on from this step, behind which Redis may be. What is retired of
-- batches from there on, and of evaluations, is not any more. With purge '1' what is left of these batches and
-- of evaluations goes, counted as dropped. Returns how many batches were retired, and how many groups went.
local function rewind(keys, argv)
    local prefix, step, purge = keys[1], tonumber(argv[1]), argv[2] == '1'
    local function is_ahead(b)
        return string.match(b, '^e%d+$') or (tonumber(b) and tonumber(b) >= step)
    end
    local back, gone = 0, 0
    for _, b in ipairs(redis.call('SMEMBERS', prefix .. 'retired')) do
        if is_ahead(b) then
            redis.call('SREM', prefix .. 'retired', b)
            back = back + 1
        end
    end
    for i = 3, purge and #argv or 0 do
        local b = argv[i]
        if is_ahead(b) then
            gone = gone + wipe(prefix, b)
        end
    end
    if back + gone > 0 then
        note(prefix, 'event', 'rewound', 'step', argv[1], 'batches', back, 'groups', gone)
    end
    return {back, gone}
end

-- token ms: the run is this learner's for so long, if it is nobody else's; whose it is.
local function claim_run(keys, argv)
    local key = keys[1] .. 'learner'
    local held = redis.call('GET', key)
    if held and held ~= argv[1] then
        return held
    end
    redis.call('SET', key, argv[1], 'PX', argv[2])
    return argv[1]
end

-- token: it is not this learner's any more
local function leave_run(keys, argv)
    local key = keys[1] .. 'learner'
    if redis.call('GET', key) ~= argv[1] then
        return 'REPEATED'
    end
    redis.call('DEL', key)
    return 'DONE'
end

-- consumer: it is gone; what it holds of both queues is anybody else's at once. How many that were.
local function release(keys, argv)
    local prefix, consumer, count = keys[1], argv[1], 0
    for queue, group in pairs(GROUP) do
        local held = {}
        if redis.call('EXISTS', prefix .. queue) == 1 then
            held = redis.pcall('XPENDING', prefix .. queue, group, '-', '+', 100000, consumer)
        end
        for i = 1, held.err and 0 or #held do
            let_go(prefix, queue, held[i][1], true)
            count = count + 1
        end
        if not held.err then -- nor is it in the way of who looks at the queue
            redis.pcall('XGROUP', 'DELCONSUMER', prefix .. queue, group, consumer)
        end
    end
    if count > 0 then
        note(prefix, 'event', 'released', 'worker', consumer, 'groups', count)
    end
    return count
end

local function pending(key, group)
    if redis.call('EXISTS', key) == 0 then
        return 0
    end
    local found = redis.pcall('XPENDING', key, group)
    return found.err and 0 or found[1]
end

-- fed trained dropped scored | prompts, leased | rollouts, leased | ready dead parked
local function ledger(keys)
    local prefix = keys[1]
    local f = redis.call('HMGET', prefix .. 'ledger', 'fed', 'trained', 'dropped', 'scored')
    for i = 1, 4 do
        f[i] = tonumber(f[i] or 0) or 0
    end
    f[5] = redis.call('XLEN', prefix .. 'prompts')
    f[6] = pending(prefix .. 'prompts', GROUP.prompts)
    f[7] = redis.call('XLEN', prefix .. 'rollouts')
    f[8] = pending(prefix .. 'rollouts', GROUP.rollouts)
    f[9] = redis.call('XLEN', prefix .. 'ready')
    f[10] = redis.call('XLEN', prefix .. 'dead')
    f[11] = redis.call('HLEN', prefix .. 'parked')
    return f
end

local OLDEST = 32

-- Entries that no group knows, among the oldest of a queue, where such ones stay. Whoever has one leased finds it
-- LOST, as he would if he handed it on.
local function sweep_out(prefix, queue)
    local gone = 0
    for _, found in ipairs(redis.call('XRANGE', prefix .. queue, '-', '+', 'COUNT', OLDEST)) do
        local b, index = place_of(found)
        if not (b and redis.call('HGET', prefix .. 'groups:' .. b, index) == STATE[queue] .. ' ' .. found[1]) then
            bury_entry(prefix, queue, found, 'learner', 'its group does not know it')
            gone = gone + 1
        end
    end
    return gone
end

-- scored last batch...: what a truthful ledger says. scored: groups counted in calls before this one; last: '1' where
-- these are the last of the batches. What is listed twice, in `ready` and `parked`, is listed as the batches have it;
-- what was fed and is nowhere is dropped as lost, what is there and was never fed is fed. How many lists were wrong,
-- groups scored, fed - accounted for.
local function reconcile(keys, argv)
    local prefix, scored, wrong = keys[1], tonumber(argv[1]), 0
    for i = 3, #argv do
        local b = argv[i]
        local key = prefix .. 'batch:' .. b
        local list = redis.call('HVALS', prefix .. 'groups:' .. b)
        for k = 1, #list do
            scored = scored + (list[k] == 'scored' and 1 or 0)
        end
        local f = redis.call('HMGET', key, 'state', 'entry', 'gate', 'accuracy', 'previous')
        if f[1] == 'ready' and f[3] and f[4] and f[5] and
            (not is_entry(f[2]) or #redis.call('XRANGE', prefix .. 'ready', f[2], f[2]) == 0) then
            redis.call('HSET', key, 'entry', redis.call('XADD', prefix .. 'ready', '*', 'batch', b, 'gate', f[3],
                'accuracy', f[4], 'previous', f[5]))
            wrong = wrong + 1
        end
    end
    if argv[2] ~= '1' then
        return {wrong, scored, 0}
    end
    for _, entry in ipairs(redis.call('XRANGE', prefix .. 'ready', '-', '+')) do
        local b = named(entry[2]).batch
        if not b or redis.call('HGET', prefix .. 'batch:' .. b, 'entry') ~= entry[1] then
            redis.call('XDEL', prefix .. 'ready', entry[1])
            wrong = wrong + 1
        end
    end
    local parked = redis.call('HGETALL', prefix .. 'parked')
    for i = 1, #parked, 2 do
        local b, index = string.match(parked[i], '^(%w+):(%d+)$')
        if not b or redis.call('HGET', prefix .. 'groups:' .. b, index) ~= 'parked ' .. parked[i + 1] then
            redis.call('HDEL', prefix .. 'parked', parked[i])
            wrong = wrong + 1
        end
    end
    wrong = wrong + sweep_out(prefix, 'prompts') + sweep_out(prefix, 'rollouts')
    redis.call('HSET', prefix .. 'ledger', 'scored', scored)
    for _, name in ipairs({'fed', 'trained', 'dropped'}) do
        if not string.match(redis.call('HGET', prefix .. 'ledger', name) or '', '^%d+$') then
            redis.call('HSET', prefix .. 'ledger', name, 0)
        end
    end
    local f = ledger(keys)
    local off = f[1] - f[2] - f[3] - f[4] - f[5] - f[7] - f[11]
    if off > 0 then
        add(prefix .. 'ledger', 'dropped', off)
        count_dropped(prefix, 'lost', off)
    elseif off < 0 then
        add(prefix .. 'ledger', 'fed', -off)
    end
    if off ~= 0 or wrong > 0 then
        note(prefix, 'event', 'reconciled', 'lost', off, 'lists', wrong)
    end
    return {wrong, scored, off}
end

redis.register_function('plait1_feed', feed)
redis.register_function('plait1_finish', finish)
redis.register_function('plait1_redo', redo)
redis.register_function('plait1_retry', retry)
redis.register_function('plait1_unpark', unpark)
-- What only empties queues must work when Redis is at its memory limit, or it could never drain.
redis.register_function{function_name = 'plait1_commit', callback = commit, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_begin', callback = begin, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_lease', callback = lease, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_bury', callback = bury, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_recount', callback = recount_batch, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_reconcile', callback = reconcile, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_whole', callback = whole, flags = {'no-writes'}}
redis.register_function{function_name = 'plait1_drop', callback = drop, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_refuse', callback = refuse, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_quarantine', callback = quarantine, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_give_back', callback = give_back, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_retire', callback = retire, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_forsake', callback = forsake, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_rewind', callback = rewind, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_parked', callback = parked_groups, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_release', callback = release, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_claim_run', callback = claim_run, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_leave_run', callback = leave_run, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_ledger', callback = ledger, flags = {'no-writes'}}
