/* What `plait top` shows as JSON (top.h). */
#include "deploy/view/top.h"
#include "deploy/view/top_parts.h"

#include <math.h>

static json_t *word(const char *text)
{
    char harmless[1024];
    json_t *string = json_string(text);

    if (string)
        return string;
    pl_top_copy(harmless, sizeof harmless, text); /* no UTF-8 */
    return json_string(harmless);
}

static json_t *numbers(const double *list, size_t n)
{
    json_t *array = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(array, isfinite(list[i]) ? json_real(list[i]) : json_null());
    return array;
}

json_t *pl_top_json(const struct pl_top *top)
{
    const struct pl_survey *s = &top->o.survey;
    json_t *object = pl_overview_json(&top->o), *events = json_array(), *dead = json_array();

    for (size_t i = 0; i < top->event_count; i++)
        json_array_append_new(events, json_pack("{s:f, s:o, s:o}", "at_s", top->events[i].at_s,
                                                "event", word(top->events[i].event), "text",
                                                word(top->events[i].text)));
    for (size_t i = 0; i < top->dead_count; i++) {
        const struct pl_top_dead *e = &top->dead[i];

        json_array_append_new(dead, json_pack("{s:f, s:o, s:o, s:o, s:o, s:I}", "at_s", e->at_s,
                                              "group", word(e->group), "where", word(e->where),
                                              "worker", word(e->worker), "reason", word(e->reason),
                                              "deliveries", (json_int_t)e->deliveries));
    }
    json_object_set_new(object, "insecure", json_boolean(s->insecure));
    json_object_set_new(object, "recent_steps",
                        json_pack("{s:o, s:o}", "reward", numbers(s->reward, s->recent_count),
                                  "accuracy", numbers(s->accuracy, s->recent_count)));
    json_object_set_new(object, "events", events);
    json_object_set_new(object, "dead", dead);
    return object;
}
