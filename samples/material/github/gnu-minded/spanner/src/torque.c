/* torque.c - part of Spanner, which is free software: you can redistribute it
   and/or modify it under the terms of the GNU General Public License, version 3. */

double torque_nm(double force_n, double arm_m)
{
    return force_n * arm_m;
}
