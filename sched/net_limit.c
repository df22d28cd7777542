/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The controller of a path's limit: it tries more, and sometimes less, and keeps what gains. */
#include "sched/net_internal.h"

#define START_LIMIT 48.0           /* times the factor of the band */
#define BLIND_LIMIT 64.0           /* before the round trip is known */
#define GAIN_OF_LINEAR 0.08        /* a step is worth it when it gains this much of what it would if all were linear */
#define MIX_RATIO 1.5              /* requests so much larger or smaller than those of the reference: not comparable */
#define USED_RATIO 1.1             /* less than this many more in flight: the step was not tried */
#define WINDOW_MIN_US (NET_SECOND_US / 20)
#define WINDOW_LONG_US (4 * NET_SECOND_US)
#define PROBE_UP 1.5
#define PROBE_DOWN 0.7
#define PROBE_DOWN_KEEPS 0.97      /* of the work: then less in flight is as good */
#define PROBE_PAUSE_MIN_US (2 * NET_SECOND_US)
#define CROWDED 1.5                /* requests take so many times longer than alone: less may do */
#define ODD_RATIO 0.65
#define RTT_CHANGE 1.5

/* ------------------------------------------------------------------------------------------------ the window */

void net_limit_restart(struct net_path *p, int64_t now_us)
{
	p->window_us = now_us;
	p->busy_us = 0;
	p->work = 0;
	p->ended = 0;
	p->touched_us = now_us;
}

void net_limit_touch(struct net_path *p, int64_t now_us)
{
	if (now_us > p->touched_us)
		p->busy_us += (double)p->in_flight * (double)(now_us - p->touched_us);
	p->touched_us = now_us;
}

void net_limit_set(struct net_path *p, double limit, int64_t now_us)
{
	if (limit < NET_LIMIT_MIN)
		limit = NET_LIMIT_MIN;
	if (limit > NET_LIMIT_MAX)
		limit = NET_LIMIT_MAX;
	p->limit = limit;
	/* What is in flight began under the old limit: its end says nothing about the new one. */
	p->settled_us = now_us + (int64_t)p->duration_us;
	net_limit_restart(p, now_us);
}

void net_limit_init(struct net_path *p, int64_t now_us)
{
	p->limit = BLIND_LIMIT;
	p->probe_pause_us = PROBE_PAUSE_MIN_US;
	net_limit_restart(p, now_us);
}

/* ---------------------------------------------------------------------------------------------- the controller */

void net_limit_rest(struct net_path *p, int64_t now_us)
{
	p->phase = NET_STEADY;
	p->odd_windows = 0;
	p->next_probe_us = now_us + p->probe_pause_us;
	net_limit_restart(p, now_us);
}

static void search_again(struct net_path *p, int64_t now_us)
{
	p->phase = NET_STARTING;
	p->ref_work = 0;
	p->odd_windows = 0;
	p->probe_pause_us = PROBE_PAUSE_MIN_US;
	p->rtt_settled_us = net_baseline_us(p);
	net_limit_restart(p, now_us);
}

static void step_up(struct net_path *p, double work, double running, double factor, int64_t now_us)
{
	p->ref_work = work;
	p->ref_running = running;
	p->limit_before = p->limit;
	if (p->limit >= NET_LIMIT_MAX) {
		p->probe_pause_us = NET_PROBE_PAUSE_MAX_US;
		net_limit_rest(p, now_us);
		return;
	}
	net_limit_set(p, p->limit * factor, now_us);
}

/* After a step up: WORK per second with RUNNING in flight. */
static void judge_step_up(struct net_path *p, double work, double running, double factor, int64_t now_us)
{
	double more = running / p->ref_running;

	if (more < USED_RATIO) {
		p->probe_pause_us = PROBE_PAUSE_MIN_US;
		p->ref_work = net_mix(p->ref_work, work, 0.3);
		net_limit_rest(p, now_us);
	} else if (work / p->ref_work - 1 >= GAIN_OF_LINEAR * (more - 1)) {
		p->probe_pause_us = PROBE_PAUSE_MIN_US;
		step_up(p, work, running, factor, now_us);
	} else {
		net_limit_set(p, p->limit_before, now_us);
		if (p->phase == NET_PROBING_UP && p->probe_pause_us < NET_PROBE_PAUSE_MAX_US)
			p->probe_pause_us *= 2;
		net_limit_rest(p, now_us);
	}
}

static void judge_step_down(struct net_path *p, double work, double running, int64_t now_us)
{
	if (work >= PROBE_DOWN_KEEPS * p->ref_work) {
		p->ref_running = running;
	} else {
		net_limit_set(p, p->limit_before, now_us);
		if (p->probe_pause_us < NET_PROBE_PAUSE_MAX_US)
			p->probe_pause_us *= 2;
	}
	net_limit_rest(p, now_us);
}

static bool rtt_has_changed(const struct net_path *p)
{
	double rtt_us = net_baseline_us(p);

	return p->rtt_settled_us > 0 && (rtt_us > RTT_CHANGE * p->rtt_settled_us || rtt_us * RTT_CHANGE < p->rtt_settled_us);
}

static void judge_steady(struct net_path *p, double work, double running, int64_t now_us)
{
	double change = p->ref_work > 0 ? work / p->ref_work : 1;

	if (change < ODD_RATIO || change > 1 / ODD_RATIO)
		p->odd_windows++;
	else
		p->odd_windows = 0;
	if (p->odd_windows >= 2 || rtt_has_changed(p)) {
		search_again(p, now_us);
		return;
	}
	if (p->odd_windows == 0) {
		p->ref_work = net_mix(p->ref_work, work, 0.3);
		p->ref_running = running;
	}
	net_limit_restart(p, now_us);
	if (now_us < p->next_probe_us || p->odd_windows > 0)
		return;
	p->limit_before = p->limit;
	if (p->slowdown > CROWDED && p->limit > NET_LIMIT_MIN && p->probe_pause_us > PROBE_PAUSE_MIN_US) {
		p->phase = NET_PROBING_DOWN;
		net_limit_set(p, (running < p->limit ? running : p->limit) * PROBE_DOWN, now_us);
	} else {
		p->phase = NET_PROBING_UP;
		step_up(p, p->ref_work, p->ref_running, PROBE_UP, now_us);
	}
}

/* The window holds requests of another size than the reference: parts of large objects ended, or small ones came. */
static bool mix_has_changed(struct net_path *p)
{
	double size = p->work / p->ended, ref_size = p->ref_size;

	p->ref_size = size;
	return p->ref_work > 0 && (size > MIX_RATIO * ref_size || size * MIX_RATIO < ref_size);
}

/* A new reference, and no verdict. */
static void begin_again(struct net_path *p, double work, double running, int64_t now_us)
{
	if (p->phase == NET_PROBING_UP || p->phase == NET_PROBING_DOWN) {
		net_limit_set(p, p->limit_before, now_us);
		p->ref_work = 0;
		net_limit_rest(p, now_us);
	} else {
		p->ref_work = p->phase == NET_STEADY ? work : 0;
		p->ref_running = running;
		net_limit_restart(p, now_us);
	}
}

static void judge(struct net_path *p, double work, double running, int64_t now_us)
{
	if (mix_has_changed(p)) {
		begin_again(p, work, running, now_us);
		return;
	}
	switch (p->phase) {
	case NET_STARTING:
		if (p->ref_work == 0)
			step_up(p, work, running, 2, now_us);
		else
			judge_step_up(p, work, running, 2, now_us);
		break;
	case NET_STEADY:
		judge_steady(p, work, running, now_us);
		break;
	case NET_PROBING_UP:
		judge_step_up(p, work, running, PROBE_UP, now_us);
		break;
	case NET_PROBING_DOWN:
		judge_step_down(p, work, running, now_us);
		break;
	case NET_RECOVERING:
		net_limit_restart(p, now_us);
		break;
	}
}

/* Ends the window when it has seen enough. */
void net_limit_control(struct net_path *p, int64_t now_us)
{
	int64_t elapsed_us = now_us - p->window_us;
	double running, wanted;

	if (now_us < p->settled_us) {
		net_limit_restart(p, now_us);
		return;
	}
	if (elapsed_us < WINDOW_MIN_US || (double)elapsed_us < p->duration_us)
		return;
	running = p->busy_us / (double)elapsed_us;
	wanted = p->phase == NET_STARTING ? running : 2 * running;
	if ((p->ended < 8 || (double)p->ended < wanted) && (elapsed_us < WINDOW_LONG_US || p->ended < 4))
		return;
	if (running < p->limit / 2) {
		net_limit_restart(p, now_us); /* not bound by the limit: nothing is learned about it */
		return;
	}
	judge(p, p->work * 1e6 / (double)elapsed_us, running, now_us);
}

/* The round trip says where to begin. */
void net_limit_begin(struct net_path *p)
{
	if (p->is_banded || net_path_band(p) == SCHED_BAND_UNKNOWN)
		return;
	p->is_banded = true;
	p->rtt_settled_us = net_baseline_us(p);
	if (p->phase == NET_STARTING && p->ref_work == 0)
		p->limit = START_LIMIT * net_band_factor(net_path_band(p));
}
