#include "deploy/paper/grid.h"

#include <math.h>
#include <string.h>

/* Published: Pass@1 and TTFT of Qwen2.5-1.5B-Instruct under PPO, arXiv 2505.19640. The third pair
 * is the mean of the three sets of other domains. */
#define NO                                                                                         \
    {                                                                                              \
        NAN, NAN                                                                                   \
    }
#define NONE                                                                                       \
    {                                                                                              \
        NO, NO, NO, NO                                                                             \
    }
#define ONLY(pass, ttfa)                                                                           \
    {                                                                                              \
        NO, NO, NO,                                                                                \
        {                                                                                          \
            pass, ttfa                                                                             \
        }                                                                                          \
    }

#define MEAN3(a, b, c) (((a) + (b) + (c)) / 3)

const struct pl_grid_row pl_grid[] = {
    {"direct",
     "direct",
     PL_GRID_BASE,
     PL_METHOD_DIRECT,
     PL_GRID_MAIN,
     {{.060, NAN}, {.115, NAN}, {MEAN3(.051, .081, .278), NAN}, {.117, NAN}}},
    {"cot",
     "CoT",
     PL_GRID_BASE,
     PL_METHOD_COT,
     PL_GRID_MAIN,
     {{.097, NAN}, {.195, NAN}, {MEAN3(.066, .167, .308), NAN}, {.167, NAN}}},
    {"sft",
     "SFT",
     PL_GRID_SFT,
     PL_METHOD_COT,
     PL_GRID_MAIN,
     {{.223, NAN}, {.290, NAN}, {MEAN3(.046, .112, .263), NAN}, {.187, NAN}}},
    {"think-answer",
     "think-answer",
     PL_GRID_TRAIN,
     PL_METHOD_THINK_ANSWER,
     PL_GRID_MAIN,
     {{.342, .819},
      {.675, .763},
      {MEAN3(.328, .434, .323), MEAN3(.929, .913, .952)},
      {.420, .875}}},
    {"interleave",
     "interleave",
     PL_GRID_TRAIN,
     PL_METHOD_INTERLEAVE,
     PL_GRID_MAIN | PL_GRID_REWARDS | PL_GRID_DELAYED,
     {{.357, .118},
      {.700, .210},
      {MEAN3(.308, .429, .288), MEAN3(.181, .189, .163)},
      {.416, .172}}},
    {"interleave-ir",
     "interleave + IR",
     PL_GRID_TRAIN,
     PL_METHOD_INTERLEAVE,
     PL_GRID_MAIN | PL_GRID_REWARDS | PL_GRID_DELAYED | PL_GRID_ALGORITHMS | PL_GRID_BEYOND,
     {{.533, .132},
      {.710, .155},
      {MEAN3(.489, .460, .313), MEAN3(.192, .211, .157)},
      {.501, .169}}},
    {"interleave-ir-direct", "direct IR", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE, PL_GRID_REWARDS,
     ONLY(.392, NAN)},
    {"interleave-ir-partial", "IR, partial", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE, PL_GRID_REWARDS,
     ONLY(.478, NAN)},
    {"interleave-ir-all", "IR, all or none", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE, PL_GRID_REWARDS,
     ONLY(.489, NAN)},
    {"delayed", "delayed", PL_GRID_TRAIN, PL_METHOD_DELAYED, PL_GRID_DELAYED, ONLY(.317, .806)},
    {"delayed-ir", "delayed + IR", PL_GRID_TRAIN, PL_METHOD_DELAYED, PL_GRID_DELAYED,
     ONLY(.331, .811)},
    {"interleave-ir-ppo", "IR, PPO", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE, PL_GRID_ALGORITHMS,
     ONLY(.501, .169)},
    {"interleave-ir-reinforce-plus-plus", "IR, REINFORCE++", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE,
     PL_GRID_ALGORITHMS, ONLY(.486, .161)},
    {"interleave-ir-gdpo", "IR, GDPO", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE, PL_GRID_BEYOND, NONE},
    {"interleave-ir-segment", "IR, credit by segment", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE,
     PL_GRID_BEYOND, NONE},
    {"interleave-ir-product", "IR, product of rewards", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE,
     PL_GRID_BEYOND, NONE},
    {"interleave-ir-charge", "IR, wrong steps charged", PL_GRID_TRAIN, PL_METHOD_INTERLEAVE,
     PL_GRID_BEYOND, NONE},
};

const size_t pl_grid_count = sizeof pl_grid / sizeof *pl_grid;

const struct pl_grid_row *pl_grid_named(const char *name)
{
    for (size_t i = 0; i < pl_grid_count; i++)
        if (strcmp(pl_grid[i].name, name) == 0)
            return &pl_grid[i];
    return NULL;
}

bool pl_grid_every_seed(const struct pl_grid_row *row)
{
    return row->kind == PL_GRID_TRAIN && (row->tables & PL_GRID_MAIN) != 0;
}
