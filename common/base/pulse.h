/*
 * A pulse: something long has come one piece further. Loops that may take long without returning
 * to their caller (layers, tensors, pieces of a file) call it; whoever watches the program listens.
 * It costs a load where nobody does.
 */
#ifndef PL_BASE_PULSE_H
#define PL_BASE_PULSE_H

/* Who listens; NULL: nobody. Set while there is one thread. */
void pl_pulse_to(void (*listener)(void));

void pl_pulse(void);

#endif
