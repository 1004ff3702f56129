#include "rewarder/shown.h"

void pl_rewarder_shown_make(struct pl_rewarder_shown *shown, struct pl_meters *meters)
{
    static const double seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                     0.5,   1,      2.5,   5,    10,    30,   60,  300};
    static const char delivered[] = "Groups that left a queue, by what became of them.";
    static const char *const words[] = {"none", "right", "wrong", "unparsed"};
    struct pl_rewarder_shown *s = shown;

    *s = (struct pl_rewarder_shown){.meters = meters};
    for (int i = 0; i < PL_REWARDER_OUTCOMES; i++)
        s->deliveries[i] =
            pl_meters_counter(meters, "plait_deliveries_total", delivered, "queue", "rollouts",
                              "outcome", pl_outcome_name((enum pl_outcome)i), NULL);
    s->buried = pl_meters_counter(meters, "plait_deliveries_total", delivered, "queue", "rollouts",
                                  "outcome", "dead", NULL);
    s->refused = pl_meters_counter(meters, "plait_groups_refused_total",
                                   "Groups that are not what was asked of their actor.", NULL);
    s->groups =
        pl_meters_counter(meters, "plait_groups_scored_total", "Groups that were scored.", NULL);
    for (int v = PL_VERDICT_NONE; v <= PL_VERDICT_UNPARSED; v++)
        s->verdicts[v] = pl_meters_counter(meters, "plait_verdicts_total",
                                           "Samples scored, by the verdict on their final answer.",
                                           "verdict", words[v], NULL);
    s->unverified = pl_meters_counter(
        meters, "plait_unverified_total",
        "Groups set back because the program of reward.exec.command gave no verdict.", NULL);
    s->verify = pl_meters_histogram(meters, "plait_verify_seconds", "Time to score a group.",
                                    seconds, sizeof seconds / sizeof *seconds, NULL);
}

void pl_rewarder_shown_group(struct pl_rewarder_shown *shown, const struct pl_rollout_group *group,
                             enum pl_outcome outcome)
{
    pl_meter_add(shown->deliveries[outcome], 1);
    pl_meter_add(shown->groups, 1);
    for (size_t i = 0; i < group->samples; i++)
        pl_meter_add(shown->verdicts[group->rollouts[i].score.verdict], 1);
}

static void fill(void *at)
{
    const struct pl_rewarder_shown *s = at;
    const struct pl_door_stats door = pl_desk_door(s->desk);

    pl_meter_rise(s->accepted, (double)door.accepted);
    pl_meter_rise(s->rejected, (double)pl_door_refused(&door));
}

void pl_rewarder_shown_desk(struct pl_rewarder_shown *shown, const struct pl_desk *desk)
{
    static const char doors[] = "Peers that came to have scores with a key, by what was said.";
    struct pl_meters *m = shown->meters;

    shown->desk = desk;
    shown->accepted =
        pl_meters_counter(m, "plait_connections_total", doors, "result", "accepted", NULL);
    shown->rejected =
        pl_meters_counter(m, "plait_connections_total", doors, "result", "refused", NULL);
    pl_meters_fill(m, fill, shown);
}

void pl_rewarder_shown_forget(struct pl_rewarder_shown *shown)
{
    if (shown->desk)
        pl_meters_forget(shown->meters, fill, shown);
}
