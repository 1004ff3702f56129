#include "learner/walk.h"

bool pl_walk_next(struct pl_walk *walk, const struct pl_rollouts *rollouts, struct pl_pack *pack)
{
    struct pl_walk *w = walk;

    pl_pack_clear(pack);
    if (w->group < w->end)
        pack->temperature = rollouts->groups[w->group].temperature;
    while (w->group < w->end && rollouts->groups[w->group].temperature == pack->temperature) {
        const struct pl_group *g = &rollouts->packs[w->group];
        const size_t sample = rollouts->group_first[w->group] + w->response;
        const size_t added = pl_pack_add(pack, g, w->response, (uint32_t)sample);

        w->response += added;
        if (w->response < g->count)
            break;
        w->group++;
        w->response = 0;
    }
    return pack->batch.rows > 0;
}

bool pl_stop_asked(const struct pl_stop *stop)
{
    return stop && stop->asked(stop->at, stop->stepped);
}

bool pl_walk_score(const struct pl_rollouts *rollouts, size_t g, size_t end, struct pl_pack *pack,
                   struct pl_trainer *trainer, const struct pl_weights *weights,
                   const struct pl_stop *stop, float *out)
{
    struct pl_walk walk = {.group = g, .end = end};

    while (pl_walk_next(&walk, rollouts, pack)) {
        const float *said;

        if (pl_stop_asked(stop))
            return false;
        said = pl_trainer_score(trainer, weights, pack, NULL);
        for (size_t i = 0; i < pack->prediction_count; i++) {
            const struct pl_prediction *p = &pack->predictions[i];

            out[rollouts->first[p->sample] + p->index] = said[i];
        }
    }
    return true;
}
