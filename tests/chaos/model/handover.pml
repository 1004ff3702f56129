/*
 * The hand-over of one batch of groups, for spin: every interleaving of a learner, actors and
 * rewarders that die, or are taken for dead and go on, answers that are lost, entries that are
 * deleted, a Redis that is emptied, a learner that goes back. A function of functions.lua is one
 * atomic step here, as it is there.
 *
 * Always (assertions):
 *   - only the holder of a group's entry hands it on;
 *   - no queue has two entries of a group;
 *   - a batch is trained from the scores of the prompts that it has, and fed only while it is not
 *     retired.
 * And whenever nothing more can happen, with as many faults as there were: the batch is trained, in a
 * checkpoint and retired (else spin calls it an invalid end state).
 *
 * WRONG makes the protocol faulty; spin must find a counter-example of each:
 *   1 finish and commit do not ask who holds the entry
 *   2 a batch is retired when it is trained, before the checkpoint
 *   3 a worker's output and the end of its input are two steps
 *   4 the learner feeds a group again whatever became of it
 *   5 nobody takes what the dead hold
 *   6 a learner that goes back does not rewind the queues
 *   7 a group whose entry is gone is not fed again
 */
#ifndef WRONG
#define WRONG 0
#endif
#ifndef FAULTS
#define FAULTS 3
#endif

#define GROUPS 2
#define NOBODY 9

mtype = { none, prompt, rollout, scored };

/* Redis */
mtype stage[GROUPS] = none;
byte attempt[GROUPS]; /* which feeding its prompt is of */
byte made[GROUPS];    /* and which its rollout, then its score, answers */
byte holder[GROUPS] = NOBODY;
bool over[GROUPS];   /* the holder's lease */
byte copies[GROUPS]; /* entries of it in the queues */
bool retired;

/* the learner */
bool trained, saved; /* in memory, in a checkpoint */

byte faults = FAULTS;

#define CAN_FAIL faults > 0 -> faults--

inline put(g, s, n) {
    stage[g] = s;
    copies[g] = n;
    holder[g] = NOBODY;
    over[g] = false
}

inline clear() {
    put(0, none, 0);
    put(1, none, 0)
}

#define IS_QUEUED(g) (stage[g] == prompt || stage[g] == rollout)
#define IS_MISSING(g)                                                                              \
    (stage[g] == none || (WRONG == 4 && stage[g] != scored) ||                                     \
     (WRONG != 7 && IS_QUEUED(g) && copies[g] == 0))

/* Made again, it is another entry; WRONG 4 leaves the one before where it is. */
inline feed(g) {
    assert(!retired);
    attempt[g]++;
    stage[g] = prompt;
    copies[g] = (WRONG == 4 -> copies[g] + 1 : 1);
    holder[g] = NOBODY;
    over[g] = false;
    assert(copies[g] == 1)
}

active proctype learner() {
again:
    do
    :: atomic { !trained && !saved && IS_MISSING(0) -> feed(0) }
    :: atomic { !trained && !saved && IS_MISSING(1) -> feed(1) }
    :: atomic { !trained && !saved && stage[0] == scored && stage[1] == scored ->
            assert(made[0] == attempt[0] && made[1] == attempt[1]);
            trained = true;
            if
            :: WRONG == 2 -> retired = true; clear()
            :: else -> skip
            fi }
    :: atomic { trained && !saved -> saved = true }
    :: atomic { saved && !retired -> retired = true; clear() }
    /* it dies before it has saved */
    :: atomic { trained && !saved && CAN_FAIL; trained = false }
    :: saved && retired -> goto end_done
    od;
end_done:
    if
    :: saved && !retired -> goto again /* Redis does not know any more */
    :: atomic { CAN_FAIL; saved = false; trained = false; /* an older checkpoint */
            if
            :: WRONG == 6 -> skip
            :: else -> retired = false
            fi } -> goto again
    fi
}

/* Who is `mortal` may end for good; what it holds is over some day. */
proctype worker(byte me; mtype want; mtype then; bool mortal) {
    byte g = 0, mine = 0;

end_lease:
    if
    :: atomic { stage[0] == want && copies[0] > 0 && (holder[0] == NOBODY || (over[0] && WRONG != 5)) ->
            g = 0 ; holder[0] = me; over[0] = false; mine = (want == prompt -> attempt[0] : made[0]) }
    :: atomic { stage[1] == want && copies[1] > 0 && (holder[1] == NOBODY || (over[1] && WRONG != 5)) ->
            g = 1 ; holder[1] = me; over[1] = false; mine = (want == prompt -> attempt[1] : made[1]) }
    fi;
work:
    if
    :: atomic { stage[g] == want && (holder[g] == me || WRONG == 1) ->
            assert(holder[g] == me);
            made[g] = mine;
            if
            :: then == rollout && WRONG == 3 -> copies[g]++ /* its input is still there */
            :: then == rollout && WRONG != 3 -> put(g, then, 1)
            :: else -> put(g, then, 0)
            fi }
        assert(copies[g] <= 1)
    :: atomic { !(stage[g] == want && (holder[g] == me || WRONG == 1)) -> skip } /* REPEATED, LOST, RETIRED */
    :: atomic { CAN_FAIL; /* it gives back */
            if
            :: stage[g] == want && holder[g] == me -> put(g, want, copies[g])
            :: else -> skip
            fi }
    :: atomic { mortal && CAN_FAIL; /* it dies */
            if
            :: stage[g] == want && holder[g] == me -> over[g] = true
            :: else -> skip
            fi } ->
        goto dead
    fi;
    if
    :: goto end_lease
    :: atomic { CAN_FAIL } -> goto work /* the answer was lost: once more */
    fi;
dead:
    skip
}

active proctype world() {
end:
    do
    /* a lease is over, though its holder lives */
    :: atomic { holder[0] != NOBODY && !over[0] && CAN_FAIL; over[0] = true }
    :: atomic { holder[1] != NOBODY && !over[1] && CAN_FAIL; over[1] = true }
    /* an entry is deleted */
    :: atomic { copies[0] > 0 && CAN_FAIL; copies[0] = 0 }
    :: atomic { copies[1] > 0 && CAN_FAIL; copies[1] = 0 }
    /* all of Redis is lost */
    :: atomic { CAN_FAIL; clear(); retired = false }
    od
}

init {
    atomic {
        run worker(0, prompt, rollout, true);
        run worker(1, prompt, rollout, false);
        run worker(2, rollout, scored, true);
        run worker(3, rollout, scored, false)
    }
}
