/*
 * SIGINT and SIGTERM: the first asks to stop at the next safe point. A SIGINT after it leaves at
 * once with status 128 + signal: somebody presses Ctrl-C again. A SIGTERM after it changes nothing:
 * batch systems and service managers send several, and mean the first. System calls are interrupted
 * (no SA_RESTART), so that a read at a prompt returns with EINTR.
 */
#ifndef PL_APP_SIGNALS_H
#define PL_APP_SIGNALS_H

void pl_signals_catch(void);   /* begin; once more is harmless, and forgets a signal that came */
int pl_signals_stop(void);     /* the signal that asked to stop, 0: none */
void pl_signals_forget(void);  /* go on: the next signal is a first one again */
void pl_signals_default(void); /* end: both signals kill again */

#endif
