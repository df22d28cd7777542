/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of the network monitor share. Private to them. */
#ifndef S3B_NET_INTERNAL_H
#define S3B_NET_INTERNAL_H

#include "sched/net.h"

#define NET_SECOND_US ((int64_t)1000000)
#define NET_PROBE_PAUSE_MAX_US (16 * NET_SECOND_US)

/* net.c */
double net_extreme(const struct net_extreme *x, bool want_least);
/* The round trip without queueing; 0: not known. */
double net_baseline_us(const struct net_path *p);
/* MEAN moved towards VALUE; 0: there is none yet. */
double net_mix(double mean, double value, double weight);

/* net_limit.c */
void net_limit_init(struct net_path *p, int64_t now_us);
/* Begins a new window of measurement, */
void net_limit_restart(struct net_path *p, int64_t now_us);
/* and adds to the one under way what has been in flight since it was last touched. */
void net_limit_touch(struct net_path *p, int64_t now_us);
void net_limit_set(struct net_path *p, double limit, int64_t now_us);
/* Stays at the limit, until the next probe. */
void net_limit_rest(struct net_path *p, int64_t now_us);
/* When the first round trip is known: it says where to begin. */
void net_limit_begin(struct net_path *p);
/* Something has ended: judges the window when it has seen enough. */
void net_limit_control(struct net_path *p, int64_t now_us);

/* net_pace.c */
void net_pace_init(struct net_path *p, int64_t now_us);
void net_pace_refill(struct net_path *p, int64_t now_us);
void net_pace_count_refusal(struct net_path *p, int64_t now_us);
void net_pace_slow_down(struct net_path *p, int64_t now_us); /* the server has said so */
/* Something has ended: the pace by what was accepted, and both limits on their way back. */
void net_pace_check(struct net_path *p, int64_t now_us);
void net_pace_recover(struct net_path *p, int64_t now_us);

#endif
