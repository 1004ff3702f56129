#include "common/app/signals.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    if (stop && number == SIGTERM)
        return;
    if (stop) {
        /* The cursor may stand behind a half-drawn line. Nothing can be done when this fails. */
        const ssize_t n = write(STDERR_FILENO, "\n", 1);

        (void)n;
        _exit(128 + number);
    }
    stop = number;
}

static void handle(void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void pl_signals_catch(void)
{
    stop = 0;
    handle(on_signal);
}

int pl_signals_stop(void)
{
    return stop;
}

void pl_signals_forget(void)
{
    stop = 0;
}

void pl_signals_default(void)
{
    handle(SIG_DFL);
}
