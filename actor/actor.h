/*
 * The actor daemon: leases prompt groups, samples them with the version of the policy each is
 * pinned to, hands rollouts over.
 *
 *   main thread: the engine, which never waits for the network while it has work
 *   I/O thread:  leases ahead, keeps leases alive, hands finished groups over, says it is alive
 *
 * Between them a list of groups, each in one state:
 *
 *   leased ─▶ running ─▶ done ─▶ (handed over, gone)
 *
 * Groups are let into the engine in the order they were leased. Weights are changed only when the
 * engine is idle, for the next group's version, so that no response is sampled with two.
 *
 * In latest mode (rollout.mode) training groups want the newest version instead: it is taken
 * between two steps of the engine, as soon as it is here, under the samples that grow. Each token
 * is noted with the version that drew it. Evaluations are pinned as ever: what wants the newest is
 * not begun while one waits for another version, and no weights are changed under one that runs.
 */
#ifndef PL_ACTOR_ACTOR_H
#define PL_ACTOR_ACTOR_H

#include "actor/engine.h"
#include "common/app/daemon.h"

int pl_actor_run(struct pl_daemon *daemon, struct pl_error *err);

/* For plans: the engine it asks for (weights may be an outline), and how many versions of the
 * weights it keeps beside those. */
struct pl_engine_opts pl_actor_engine(const struct pl_run_conf *conf,
                                      const struct pl_weights *weights);
size_t pl_actor_versions(const struct pl_run_conf *conf);

#endif
