/*
 * tide.c - the height of the tide, for a clock with no operating system.
 *
 * Copyright (c) 2017 The Tidewater Authors. All rights reserved.
 * Use of this source code is governed by the MIT licence, see LICENSE.
 */

#include <stdint.h>
#include <stddef.h>

/* Angles are in 1/65536 of a turn, so that they wrap round by themselves. */
typedef uint16_t turn_t;

struct constituent {
    uint32_t speed;      /* turns per hour, times 2^32 */
    int16_t  amplitude;  /* millimetres */
    turn_t   phase;
};

/* A quarter of a cosine, 64 steps of 15 bits each. */
static const int16_t quarter[65] = {
    32767, 32757, 32728, 32678, 32609, 32521, 32412, 32285, 32137, 31971, 31785,
    31580, 31356, 31113, 30852, 30571, 30273, 29956, 29621, 29268, 28898, 28510,
    28105, 27683, 27245, 26790, 26319, 25832, 25329, 24811, 24279, 23731, 23170,
    22594, 22005, 21403, 20787, 20159, 19519, 18868, 18204, 17530, 16846, 16151,
    15446, 14732, 14010, 13279, 12539, 11793, 11039, 10278, 9512, 8739, 7962,
    7179, 6393, 5602, 4808, 4011, 3212, 2410, 1608, 804, 0
};

static int16_t cosine(turn_t angle)
{
    unsigned index = (angle >> 8) & 63;
    switch (angle >> 14) {
    case 0:  return quarter[index];
    case 1:  return (int16_t)-quarter[64 - index];
    case 2:  return (int16_t)-quarter[index];
    default: return quarter[64 - index];
    }
}

/* Returns the height above the mean level, in millimetres. */
int32_t tide_height(const struct constituent *list, size_t count, uint32_t hours)
{
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        turn_t angle = (turn_t)(((uint64_t)list[i].speed * hours) >> 16);
        sum += ((int32_t)list[i].amplitude * cosine((turn_t)(angle - list[i].phase))) >> 15;
    }
    return sum;
}
