#include "common/base/pulse.h"

#include <stddef.h>

static void (*listens)(void);

void pl_pulse_to(void (*listener)(void))
{
    listens = listener;
}

void pl_pulse(void)
{
    if (listens)
        listens();
}
