#include "learner/tally.h"

#include <math.h>

void pl_spread_add(struct pl_spread *spread, double value)
{
    spread->least = spread->n == 0 || value < spread->least ? value : spread->least;
    spread->most = spread->n == 0 || value > spread->most ? value : spread->most;
    spread->sum += value;
    spread->n++;
}

double pl_spread_mean(const struct pl_spread *spread)
{
    return spread->n > 0 ? spread->sum / (double)spread->n : NAN;
}

void pl_tally_add(struct pl_tally *tally, const struct pl_rollout *rollout, double score, bool gate)
{
    const struct pl_score *s = &rollout->score;
    const bool right = s->verdict == PL_VERDICT_RIGHT;

    tally->n++;
    pl_spread_add(&tally->score, score);
    pl_spread_add(&tally->length, (double)rollout->len);
    pl_spread_add(right ? &tally->right_length : &tally->wrong_length, (double)rollout->len);
    tally->right += right;
    tally->unparsed += s->verdict == PL_VERDICT_UNPARSED;
    tally->formatted += s->format_ok;
    tally->clipped += rollout->finish == PL_SAMPLE_LENGTH;
    tally->steps += s->steps;
    tally->steps_right += s->steps_right;
    tally->paid += gate && s->intermediate > 0.0f;
    for (size_t i = 0; i < s->segment_count; i++)
        tally->answers += s->segments[i].kind == PL_SEGMENT_ANSWER;
    if (s->first_answer >= 0) {
        tally->with_answer++;
        tally->ttfa_tokens += s->first_answer;
        tally->ttfa += (double)s->first_answer / (double)rollout->len;
    }
    if (s->first_right >= 0) {
        tally->with_right++;
        tally->ttfa_right_tokens += s->first_right;
        tally->ttfa_right += (double)s->first_right / (double)rollout->len;
    }
}
