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
  scored:<b>          hash, index -> scored group, "<index>:text" -> its rewards for people, and of each
                      group from its finish on "<index>:actor", "<index>:asked" (the prompt as it was fed),
                      from its commit on "<index>:counts" (samples right formatted)
  ready               stream, one entry a batch that is complete and whose gate is decided
  dead                stream, groups that failed or are parked, with the reason and the fields of their entry
  parked              hash, group -> its entry of dead: its batch waits for it, nobody works on it
  learner             the token of the learner that is at work; it expires
  events              short stream of what happened, for people
  retired             set of batches that are trained and durable
  ledger              hash: fed trained dropped scored, dropped:<reason>
  strikes             hash, actor -> groups of it that were not what was asked for
  quarantine          hash, actor -> why what it hands over is not taken any more

The gate is decided in the order of batches: batch b waits for the one it comes `after`, whose
accuracy becomes its `previous`.
]]

local GROUP = {prompts = 'actors', rollouts = 'rewarders'}
local STATE = {prompts = 'prompt', rollouts = 'rollout'}

local function number(x)
    return string.format('%.17g', x)
end

local function word(text) -- "prompt 12-0" -> "prompt", "12-0"
    return string.match(text, '^(%S+)%s*(%S*)$')
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

-- What is counted under a reason; one that counts nothing goes.
local function count_dropped(prefix, reason, n)
    if redis.call('HINCRBY', prefix .. 'ledger', 'dropped:' .. reason, n) == 0 then
        redis.call('HDEL', prefix .. 'ledger', 'dropped:' .. reason)
    end
end

local function done_with(prefix, queue, entry)
    redis.call('XACK', prefix .. queue, GROUP[queue], entry)
    redis.call('XDEL', prefix .. queue, entry)
end

-- An entry that somebody held of a group that is further on by now. A Redis that was emptied gives ids out
-- once more: it goes only if it is this group's.
local function done_late(prefix, queue, b, index, entry)
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    if #found == 0 or found[1][2][2] == b .. ':' .. index then
        done_with(prefix, queue, entry)
    end
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

-- The entries beside a group's scores, and those as well.
local function forget(prefix, b, index)
    redis.call('HDEL', prefix .. 'scored:' .. b, index, index .. ':text', index .. ':actor', index .. ':asked',
        index .. ':counts')
end

-- The gate of a batch that is complete, once the one before it is decided; then of those after it.
local function decide(prefix, b)
    while b do
        local key = prefix .. 'batch:' .. b
        local f = redis.call('HMGET', key, 'state', 'previous', 'accuracy', 'epsilon', 'gated', 'next')
        if f[1] ~= 'complete' or not f[2] then
            return
        end
        local open = f[5] == '0' or tonumber(f[3]) > tonumber(f[2]) - tonumber(f[4])
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

-- Whether the batch is complete now and was not before.
local function settle(prefix, b)
    local key = prefix .. 'batch:' .. b
    local f = redis.call('HMGET', key, 'state', 'expected', 'arrived', 'dropped', 'samples', 'right')
    if f[1] ~= 'open' or tonumber(f[3]) + tonumber(f[4]) < tonumber(f[2]) then
        return false
    end
    local samples = tonumber(f[5])
    redis.call('HSET', key, 'state', 'complete', 'accuracy',
        number(samples > 0 and tonumber(f[6]) / samples or 0))
    decide(prefix, b)
    return true
end

-- A batch waits for one of its groups again: its gate is not decided any more, nor is that of the batch
-- behind it, which was compared with an accuracy that changes now. The learner has trained neither.
local function reopen(prefix, b)
    local key = prefix .. 'batch:' .. b
    local f = redis.call('HMGET', key, 'state', 'entry', 'next')
    if f[1] == 'ready' then
        redis.call('XDEL', prefix .. 'ready', f[2])
    end
    redis.call('HDEL', key, 'entry', 'gate', 'accuracy')
    redis.call('HSET', key, 'state', 'open')
    local behind = f[3] and prefix .. 'batch:' .. f[3]
    local g = behind and redis.call('HMGET', behind, 'state', 'entry', 'after')
    if not g or not g[1] or g[3] ~= b then
        return
    end
    if g[1] == 'ready' then
        redis.call('XDEL', prefix .. 'ready', g[2])
        redis.call('HSET', behind, 'state', 'complete')
    end
    redis.call('HDEL', behind, 'entry', 'gate', 'previous')
end

-- What was made of a group, a rollout or its score, is taken back: it counts as dropped, and the group is
-- as if it had not been fed yet, so that the learner feeds it again.
local function unmake(prefix, b, index, kind, held, reason)
    local key, scored = prefix .. 'batch:' .. b, prefix .. 'scored:' .. b
    if kind == 'rollout' then
        done_with(prefix, 'rollouts', held)
    else
        local counts = redis.call('HGET', scored, index .. ':counts') or '0 0 0'
        local n = {string.match(counts, '^(%d+) (%d+) (%d+)$')}
        reopen(prefix, b)
        redis.call('HINCRBY', key, 'arrived', -1)
        for i, name in ipairs({'samples', 'right', 'formatted'}) do
            redis.call('HINCRBY', key, name, string.format('%d', -tonumber(n[i] or 0)))
        end
        redis.call('HINCRBY', prefix .. 'ledger', 'scored', -1)
    end
    forget(prefix, b, index)
    redis.call('HDEL', prefix .. 'groups:' .. b, index)
    redis.call('HINCRBY', key, 'fed', -1)
    redis.call('HINCRBY', prefix .. 'ledger', 'dropped', 1)
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
    redis.call('HSET', prefix .. 'groups:' .. b, index, STATE[queue] .. ' ' .. made)
end

-- An entry that its holder has left: anybody's again, if it is still its group's. Whether it is.
local function let_go(prefix, queue, entry)
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    local b, index = nil, nil
    if #found == 1 then
        b, index = string.match(found[1][2][2] or '', '^(%w+):(%d+)$')
    end
    if b and redis.call('HGET', prefix .. 'groups:' .. b, index) == STATE[queue] .. ' ' .. entry then
        queue_again(prefix, queue, b, index, entry, found[1][2])
        return true
    end
    done_with(prefix, queue, entry)
    return false
end

-- batch index expected after previous epsilon gated | fields | pb
-- Where the feeder knows what the batch before came to, `after` is empty and `previous` says so; that
-- holds for a batch that is there and still waits for it, too.
local function feed(keys, argv)
    local prefix, b, index = keys[1], argv[1], argv[2]
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    if redis.call('SISMEMBER', prefix .. 'retired', b) == 1 then
        return 'RETIRED'
    end
    local fields, at = pairs_at(argv, 8)
    local f = redis.call('HMGET', key, 'state', 'previous')
    if not f[1] then -- it may still know its next one, which was fed before it
        redis.call('HSET', key, 'state', 'open', 'expected', argv[3], 'fed', 0, 'arrived', 0, 'dropped', 0,
            'samples', 0, 'right', 0, 'formatted', 0, 'after', argv[4], 'epsilon', argv[6], 'gated', argv[7])
    end
    if not f[2] then
        local before = prefix .. 'batch:' .. argv[4]
        if argv[4] == '' or redis.call('SISMEMBER', prefix .. 'retired', argv[4]) == 1 then
            redis.call('HSET', key, 'previous', argv[5])
            decide(prefix, b)
        elseif not f[1] then
            local of = redis.call('HMGET', before, 'state', 'accuracy')
            if of[1] == 'ready' then
                redis.call('HSET', key, 'previous', of[2])
            end
            redis.call('HSET', before, 'next', b)
        end
    end
    if redis.call('HEXISTS', groups, index) == 1 then
        return 'REPEATED'
    end
    local entry = redis.call('XADD', prefix .. 'prompts', '*', unpack(entry_of(b, index, fields, argv[at])))
    redis.call('HSET', groups, index, 'prompt ' .. entry)
    redis.call('HINCRBY', key, 'fed', 1)
    redis.call('HINCRBY', prefix .. 'ledger', 'fed', 1)
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
        local found = kind == 'prompt' and held == entry and redis.call('XRANGE', prefix .. 'prompts', entry, entry)
        if found and #found == 1 then
            queue_again(prefix, 'prompts', b, index, entry, found[1][2])
        end
        return 'REFUSED'
    end
    if kind ~= 'prompt' then
        done_late(prefix, 'prompts', b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
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
    redis.call('HSET', groups, index, 'rollout ' .. made)
    return 'DONE'
end

-- batch index entry samples right formatted text pb; COMPLETE: it was the last that its batch waited for
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
    redis.call('HSET', prefix .. 'scored:' .. b, index, argv[8], index .. ':text', argv[7], index .. ':counts',
        argv[4] .. ' ' .. argv[5] .. ' ' .. argv[6])
    redis.call('HDEL', prefix .. 'scored:' .. b, index .. ':asked')
    redis.call('HINCRBY', key, 'arrived', 1)
    redis.call('HINCRBY', key, 'samples', argv[4])
    redis.call('HINCRBY', key, 'right', argv[5])
    redis.call('HINCRBY', key, 'formatted', argv[6])
    done_with(prefix, 'rollouts', held)
    if entry ~= held then
        done_late(prefix, 'rollouts', b, index, entry)
    end
    redis.call('HSET', groups, index, 'scored')
    redis.call('HINCRBY', prefix .. 'ledger', 'scored', 1)
    return settle(prefix, b) and 'COMPLETE' or 'DONE'
end

-- Fields of an entry of `dead` that are its own; the others are those of the entry that was buried.
local OWN = {id = true, reason = true, where = true, worker = true, deliveries = true, late = true, pb = true}

-- queue batch index entry reason worker deliveries pb
local function bury(keys, argv)
    local prefix, queue, b, index, entry = keys[1], argv[1], argv[2], argv[3], argv[4]
    local groups = prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    local kind = state and word(state)
    if not GROUP[queue] then
        return redis.error_reply('ERR plait: no queue ' .. queue)
    end
    if state and kind ~= STATE[queue] then
        done_late(prefix, queue, b, index, entry)
        return 'REPEATED'
    end
    local list = {'id', b .. ':' .. index, 'reason', argv[5], 'where', queue, 'worker', argv[6],
        'deliveries', argv[7]}
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    -- A Redis that was emptied gives ids out anew: what is there may be another group's.
    local own = #found > 0 and found[1][2][2] == b .. ':' .. index
    for i = 1, own and #found[1][2] or 0, 2 do
        if not OWN[found[1][2][i]] then
            list[#list + 1] = found[1][2][i]
            list[#list + 1] = found[1][2][i + 1]
        end
    end
    if not state then -- its batch is over or unknown: it counts nowhere
        list[#list + 1] = 'late'
        list[#list + 1] = '1'
    end
    list[#list + 1] = 'pb'
    list[#list + 1] = argv[8]
    local made = redis.call('XADD', prefix .. 'dead', '*', unpack(list))
    done_late(prefix, queue, b, index, entry)
    note(prefix, 'event', 'buried', 'group', b .. ':' .. index, 'worker', argv[6], 'reason', argv[5])
    if not state then
        return 'RETIRED'
    end
    redis.call('HSET', groups, index, 'dead ' .. made)
    redis.call('HINCRBY', prefix .. 'batch:' .. b, 'dropped', 1)
    redis.call('HINCRBY', prefix .. 'ledger', 'dropped', 1)
    count_dropped(prefix, argv[5], 1)
    settle(prefix, b)
    return 'DONE'
end

-- Whether a batch's gate and accuracy may change: none was told to the learner, or it is one that the
-- learner takes after the step that it is at.
local function may_reopen(prefix, b, state)
    local step = redis.call('HGET', prefix .. 'run', 'step')
    return state ~= 'ready' or (tonumber(b) and step and tonumber(b) > tonumber(step))
end

-- entry of dead: the group goes back into the queue that it came from, nobody's, and its batch waits
-- for it again. GONE: there is no such entry (any more); UNREADABLE: it lacks what it takes; RETIRED,
-- REPLACED, TAKEN: nothing can use it.
local function retry(keys, argv)
    local prefix, entry = keys[1], argv[1]
    local found = redis.call('XRANGE', prefix .. 'dead', entry, entry)
    if #found == 0 then
        return 'GONE'
    end
    local f = named(found[1][2])
    local b, index = string.match(f.id or '', '^(%w+):(%d+)$')
    if not b or not GROUP[f.where] or not f.pb then
        return 'UNREADABLE'
    end
    local key, groups = prefix .. 'batch:' .. b, prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
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
    local fields = {}
    for i = 1, #found[1][2], 2 do
        if not OWN[found[1][2][i]] then
            fields[#fields + 1] = found[1][2][i]
            fields[#fields + 1] = found[1][2][i + 1]
        end
    end
    if kind == 'dead' then
        reopen(prefix, b)
        redis.call('HINCRBY', key, 'dropped', -1)
        redis.call('HINCRBY', prefix .. 'ledger', 'dropped', -1)
        count_dropped(prefix, f.reason or '', -1)
    else
        redis.call('HDEL', prefix .. 'parked', f.id)
    end
    redis.call('HINCRBY', key, 'retried', 1)
    local made = redis.call('XADD', prefix .. f.where, '*', unpack(entry_of(b, index, fields, f.pb)))
    redis.call('HSET', groups, index, STATE[f.where] .. ' ' .. made)
    redis.call('XDEL', prefix .. 'dead', entry)
    note(prefix, 'event', 'retried', 'group', f.id, 'where', f.where)
    return 'DONE'
end

-- entry of dead, reason or '': it is looked at and goes for good. The group stays dropped, for the
-- reason that is given now.
local function drop(keys, argv)
    local prefix, entry, reason = keys[1], argv[1], argv[2]
    local found = redis.call('XRANGE', prefix .. 'dead', entry, entry)
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
        redis.call('HINCRBY', prefix .. 'batch:' .. b, 'dropped', 1)
        redis.call('HINCRBY', prefix .. 'ledger', 'dropped', 1)
        count_dropped(prefix, reason, 1)
    elseif not f.late and reason ~= f.reason then
        count_dropped(prefix, f.reason or '', -1)
        count_dropped(prefix, reason, 1)
    end
    if state == 'dead ' .. entry or state == 'parked ' .. entry then
        redis.call('HSET', prefix .. 'groups:' .. b, index, 'dead')
        settle(prefix, b)
    end
    redis.call('XDEL', prefix .. 'dead', entry)
    note(prefix, 'event', 'dropped', 'group', f.id or '?', 'reason', reason)
    return 'DONE'
end

-- queue batch index entry: the same group as a new entry that nobody holds
local function give_back(keys, argv)
    local prefix, queue, b, index, entry = keys[1], argv[1], argv[2], argv[3], argv[4]
    local groups = prefix .. 'groups:' .. b
    local state = redis.call('HGET', groups, index)
    if not GROUP[queue] then
        return redis.error_reply('ERR plait: no queue ' .. queue)
    end
    if state ~= STATE[queue] .. ' ' .. entry then
        done_late(prefix, queue, b, index, entry)
        return state and 'REPEATED' or 'RETIRED'
    end
    local found = redis.call('XRANGE', prefix .. queue, entry, entry)
    if #found == 0 then
        return 'RETIRED'
    end
    queue_again(prefix, queue, b, index, entry, found[1][2])
    return 'DONE'
end

-- batch index entry sha1 reason worker strikes pb: what an actor made of a group is not what was asked for,
-- as a rewarder says of the rollout `entry`, or the learner (entry '') of the scored group of that sha1. It
-- goes to `dead`, the group is to be made anew, and the actor has a strike; at that many of them, 0: never,
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
    local made = entry == '' and redis.call('HGET', prefix .. 'scored:' .. b, index)
    if entry == '' and (kind ~= 'scored' or not made or redis.sha1hex(made) ~= argv[4]) then
        return state and 'REPEATED' or 'RETIRED'
    end
    local actor = redis.call('HGET', prefix .. 'scored:' .. b, index .. ':actor') or '?'
    redis.call('XADD', prefix .. 'dead', '*', 'id', b .. ':' .. index, 'reason', argv[5], 'where',
        entry == '' and 'scored' or 'rollouts', 'worker', argv[6], 'deliveries', 1, 'actor', actor, 'pb', argv[8])
    unmake(prefix, b, index, kind, held, 'refused')
    if redis.call('HINCRBY', prefix .. 'strikes', actor, 1) >= strikes and strikes > 0 then
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
        if let_go(prefix, 'prompts', held[i][1]) then
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
    redis.call('HINCRBY', key, 'arrived', -1)
    for i, name in ipairs({'samples', 'right', 'formatted'}) do
        redis.call('HINCRBY', key, name, string.format('%d', -tonumber(argv[3 + i])))
    end
    forget(prefix, b, index)
    local entry = redis.call('XADD', prefix .. 'prompts', '*', unpack(entry_of(b, index, fields, argv[at])))
    redis.call('HSET', groups, index, 'prompt ' .. entry)
    redis.call('HINCRBY', prefix .. 'ledger', 'fed', 1)
    redis.call('HINCRBY', prefix .. 'ledger', 'scored', -1)
    redis.call('HINCRBY', prefix .. 'ledger', 'dropped', 1)
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
        alive = alive + (kind == 'dead' and 0 or 1)
    end
    if entry then
        redis.call('XDEL', prefix .. 'ready', entry)
    end
    redis.call('DEL', key, groups, prefix .. 'scored:' .. b)
    redis.call('HINCRBY', prefix .. 'ledger', 'scored', string.format('%d', -scored))
    return alive
end

local function wipe(prefix, b)
    local gone = clear(prefix, b)
    if gone > 0 then
        redis.call('HINCRBY', prefix .. 'ledger', 'dropped', gone)
        count_dropped(prefix, 'rewound', gone)
    end
    return gone
end

-- batch: after the checkpoint that contains it is durable. It is trained, whatever is known of it here:
-- Redis may have gone back a little when it was started again. What is left of it in queues goes.
local function retire(keys, argv)
    local prefix, b = keys[1], argv[1]
    if redis.call('SISMEMBER', prefix .. 'retired', b) == 1 then
        return 'REPEATED'
    end
    redis.call('HINCRBY', prefix .. 'ledger', 'trained', clear(prefix, b))
    redis.call('SADD', prefix .. 'retired', b)
    note(prefix, 'event', 'retired', 'batch', b)
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
            let_go(prefix, queue, held[i][1])
            count = count + 1
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
        f[i] = tonumber(f[i] or 0)
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

redis.register_function('plait1_feed', feed)
redis.register_function('plait1_finish', finish)
redis.register_function('plait1_redo', redo)
redis.register_function('plait1_retry', retry)
-- What only empties queues must work when Redis is at its memory limit, or it could never drain.
redis.register_function{function_name = 'plait1_commit', callback = commit, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_bury', callback = bury, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_drop', callback = drop, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_refuse', callback = refuse, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_quarantine', callback = quarantine, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_give_back', callback = give_back, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_renew', callback = renew, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_retire', callback = retire, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_rewind', callback = rewind, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_release', callback = release, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_claim_run', callback = claim_run, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_leave_run', callback = leave_run, flags = {'allow-oom'}}
redis.register_function{function_name = 'plait1_ledger', callback = ledger, flags = {'no-writes'}}
