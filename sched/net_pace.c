/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A server that says "slow down": the limit is cut and comes back slowly, and starts are paced to what it accepted. */
#include "sched/net_internal.h"

#define CUT 0.65
#define CUT_DEAD_BAND_US (3 * NET_SECOND_US)
#define RECOVER_PER_S 0.1          /* of the gap */
#define RECOVER_KEEPS 0.9
#define RECOVERED_US (20 * NET_SECOND_US)
#define PACE_CHECK_US (NET_SECOND_US / 2)
#define PACE_MARGIN 0.98
#define PACE_MIN_PER_S 20.0
#define PACE_GROWTH_PER_S 0.01
#define PACE_FAST_PER_S 0.2        /* when it has long been too low */
#define PACE_FAST_AFTER_US (5 * NET_SECOND_US)
#define REFUSED_MIN 3              /* fewer in half a second may be chance */
#define REFUSED_SHARE 0.025        /* of what was answered: starts are paced */
#define REFUSED_CUT_SHARE 0.1      /* and here fewer are in flight, too */
#define PACE_BURST 4.0
#define REFUSED_LATELY_US (5 * NET_SECOND_US)
#define PACE_FORGET_US (60 * NET_SECOND_US)

void net_pace_init(struct net_path *p, int64_t now_us)
{
	p->pace_tokens = PACE_BURST;
	p->paced_us = p->pace_checked_us = p->grown_us = now_us;
}

void net_pace_recover(struct net_path *p, int64_t now_us)
{
	double seconds = (double)(now_us - p->grown_us) / 1e6;

	p->grown_us = now_us;
	if (p->pace_per_s > 0)
		p->pace_per_s *= 1 + (seconds < 1 ? seconds : 1) * (now_us - p->throttled_us < PACE_FAST_AFTER_US
									    ? PACE_GROWTH_PER_S
									    : PACE_FAST_PER_S);
	if (p->pace_per_s > 0 && now_us - p->throttled_us > PACE_FORGET_US)
		p->pace_per_s = 0;
	if (p->phase != NET_RECOVERING)
		return;
	p->limit += (p->recover_to - p->limit) * (seconds < 1 ? RECOVER_PER_S * seconds : RECOVER_PER_S);
	if (now_us - p->throttled_us > RECOVERED_US) {
		p->ref_work = 0;
		p->probe_pause_us = NET_PROBE_PAUSE_MAX_US;
		net_limit_rest(p, now_us);
	}
}

/* One that is refused now and then says nothing about how many there are. */
static bool refuses(const struct net_path *p, double share)
{
	return p->pace_refused >= REFUSED_MIN && p->pace_refused >= share * (p->pace_refused + p->pace_ok);
}

/* The rate that the server accepts is the best guess of what it will. */
void net_pace_check(struct net_path *p, int64_t now_us)
{
	int64_t elapsed_us = now_us - p->pace_checked_us;

	if (elapsed_us < PACE_CHECK_US)
		return;
	if (refuses(p, REFUSED_SHARE) && elapsed_us < 4 * PACE_CHECK_US && p->pace_ok > 0) {
		double accepted = p->pace_ok * 1e6 / (double)elapsed_us;

		if (p->pace_per_s == 0 || accepted < p->pace_per_s)
			p->pace_per_s = accepted;
		p->pace_per_s *= PACE_MARGIN;
		if (p->pace_per_s < PACE_MIN_PER_S)
			p->pace_per_s = PACE_MIN_PER_S;
	}
	p->pace_ok = p->pace_refused = 0;
	p->pace_checked_us = now_us;
}

void net_pace_count_refusal(struct net_path *p, int64_t now_us)
{
	p->throttled++;
	p->throttled_us = now_us;
}

void net_pace_slow_down(struct net_path *p, int64_t now_us)
{
	double from = p->limit < p->in_flight + 1 ? p->limit : p->in_flight + 1;

	net_pace_count_refusal(p, now_us);
	p->pace_refused++;
	if (!refuses(p, REFUSED_CUT_SHARE) || (p->cut_us && now_us - p->cut_us < CUT_DEAD_BAND_US))
		return;
	p->recover_to = p->phase == NET_RECOVERING ? p->recover_to * RECOVER_KEEPS : p->limit;
	if (p->recover_to < from)
		p->recover_to = from;
	p->cut_us = p->grown_us = now_us;
	p->phase = NET_RECOVERING;
	net_limit_set(p, from * CUT, now_us);
}

void net_pace_refill(struct net_path *p, int64_t now_us)
{
	p->pace_tokens += p->pace_per_s * (double)(now_us - p->paced_us) / 1e6;
	if (p->pace_tokens > PACE_BURST)
		p->pace_tokens = PACE_BURST;
	p->paced_us = now_us;
}

bool net_path_has_room(const struct net_path *p, int64_t now_us)
{
	if (p->throttled_us && now_us - p->throttled_us < REFUSED_LATELY_US)
		return false;
	return !p->is_controlled || (p->in_flight < (unsigned)p->limit && p->pace_per_s == 0);
}

int64_t net_path_next_us(const struct net_path *p, int64_t now_us)
{
	int64_t at_us;

	if (p->pace_per_s == 0)
		return -1;
	at_us = p->paced_us + (int64_t)((1 - p->pace_tokens) * 1e6 / p->pace_per_s) + 1;
	return at_us > now_us ? at_us : -1; /* it is the limit that does not allow */
}
