#include "rewarder/gate.h"

bool pl_gate_open(double accuracy, double previous, double epsilon)
{
    return accuracy > previous - epsilon;
}
