/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network monitor: measurements of a path, and the controller of its limit. */
#include "sched/net.h"

#include <assert.h>
#include <stdio.h>

#define SECOND_US ((int64_t)1000000)
#define EXTREME_PERIOD_US (5 * SECOND_US)
#define RATE_SLOT_US (SECOND_US / 4)

#define START_LIMIT 48.0           /* times the factor of the band */
#define BLIND_LIMIT 64.0           /* before the round trip is known */
#define GAIN_OF_LINEAR 0.08        /* a step is worth it when it gains this much of what it would if all were linear */
#define MIX_RATIO 1.5              /* requests so much larger or smaller than those of the reference: not comparable */
#define USED_RATIO 1.1             /* less than this many more in flight: the step was not tried */
#define WINDOW_MIN_US (SECOND_US / 20)
#define WINDOW_LONG_US (4 * SECOND_US)
#define PROBE_UP 1.5
#define PROBE_DOWN 0.7
#define PROBE_DOWN_KEEPS 0.97      /* of the work: then less in flight is as good */
#define PROBE_PAUSE_MIN_US (2 * SECOND_US)
#define PROBE_PAUSE_MAX_US (16 * SECOND_US)
#define CROWDED 1.5                /* requests take so many times longer than alone: less may do */
#define ODD_RATIO 0.65
#define RTT_CHANGE 1.5

#define CUT 0.65
#define CUT_DEAD_BAND_US (3 * SECOND_US)
#define RECOVER_PER_S 0.1          /* of the gap */
#define RECOVER_KEEPS 0.9
#define RECOVERED_US (20 * SECOND_US)
#define PACE_CHECK_US (SECOND_US / 2)
#define PACE_MARGIN 0.98
#define PACE_MIN_PER_S 20.0
#define PACE_GROWTH_PER_S 0.01
#define PACE_FAST_PER_S 0.2        /* when it has long been too low */
#define PACE_FAST_AFTER_US (5 * SECOND_US)
#define REFUSED_MIN 3              /* fewer in half a second may be chance */
#define REFUSED_SHARE 0.025        /* of what was answered: starts are paced */
#define REFUSED_CUT_SHARE 0.1      /* and here fewer are in flight, too */
#define PACE_BURST 4.0
#define REFUSED_LATELY_US (5 * SECOND_US)
#define PACE_FORGET_US (60 * SECOND_US)

/* A request costs the round trip even when it carries little: work is bytes and so many for each request. */
#define REQUEST_WORK 262144.0
#define RATE_MIN_BYTES 262144      /* shorter bodies say nothing about a connection's rate */

static const struct {
	uint32_t below_us;
	double factor;
} bands[SCHED_BAND__COUNT] = {
	[SCHED_BAND_UNKNOWN] = {0, 1},
	[SCHED_BAND_EXCELLENT] = {50000, 2},
	[SCHED_BAND_GOOD] = {100000, 1.5},
	[SCHED_BAND_FAIR] = {500000, 1},
	[SCHED_BAND_POOR] = {UINT32_MAX, 0.5},
};

double net_band_factor(enum sched_band band)
{
	return bands[band].factor;
}

/* --------------------------------------------------------------------------------------------- measurements */

static void extreme_add(struct net_extreme *x, double value, bool want_least, int64_t now_us)
{
	if (x->now == 0 || now_us - x->since_us > EXTREME_PERIOD_US) {
		x->before = x->now;
		x->now = value;
		x->since_us = now_us;
	} else if (want_least ? value < x->now : value > x->now) {
		x->now = value;
	}
}

static double extreme(const struct net_extreme *x, bool want_least)
{
	if (x->before == 0)
		return x->now;
	return (x->now < x->before) == want_least ? x->now : x->before;
}

static double mix(double mean, double value, double weight)
{
	return mean == 0 ? value : mean + weight * (value - mean);
}

enum sched_band net_path_band(const struct net_path *p)
{
	double rtt_us = extreme(&p->rtt_us, true);
	enum sched_band b = SCHED_BAND_EXCELLENT;

	if (rtt_us == 0)
		return SCHED_BAND_UNKNOWN;
	while (b < SCHED_BAND_POOR && rtt_us >= bands[b].below_us)
		b++;
	return b;
}

static void measure(struct net_path *p, const struct net_sample *s)
{
	double rtt_us = s->rtt_us ? s->rtt_us : s->is_transfer ? (double)s->first_byte_us : 0, alone_us;
	int64_t moving_us = s->duration_us - s->first_byte_us;

	if (rtt_us > 0) {
		extreme_add(&p->rtt_us, rtt_us, true, s->now_us);
		p->rtt_mean_us = mix(p->rtt_mean_us, rtt_us, 0.1);
	}
	if (!s->is_transfer)
		return;
	p->duration_us = mix(p->duration_us, (double)s->duration_us, 0.1);
	if (s->bytes >= RATE_MIN_BYTES && moving_us > 0)
		extreme_add(&p->rate, (double)s->bytes * 1e6 / (double)moving_us, false, s->now_us);
	alone_us = extreme(&p->rtt_us, true);
	if (extreme(&p->rate, false) > 0)
		alone_us += (double)s->bytes * 1e6 / extreme(&p->rate, false);
	if (alone_us > 0)
		p->slowdown = mix(p->slowdown, (double)s->duration_us / alone_us, 0.1);
}

static void count_rate(struct net_path *p, int64_t now_us, uint64_t bytes)
{
	int64_t slot = now_us / RATE_SLOT_US, i;

	for (i = 0; p->rate_slot < slot && i < NET_RATE_SLOTS; i++) {
		p->rate_slot = i + 1 < NET_RATE_SLOTS ? p->rate_slot + 1 : slot;
		p->rate_bytes[p->rate_slot % NET_RATE_SLOTS] = 0;
		p->rate_ended[p->rate_slot % NET_RATE_SLOTS] = 0;
	}
	p->rate_bytes[slot % NET_RATE_SLOTS] += bytes;
	p->rate_ended[slot % NET_RATE_SLOTS]++;
}

double net_path_goodput(const struct net_path *p, int64_t now_us)
{
	int64_t slot = now_us / RATE_SLOT_US, i;
	uint64_t bytes = 0;

	for (i = 0; i < NET_RATE_SLOTS; i++)
		if (p->rate_slot - i > slot - NET_RATE_SLOTS && p->rate_slot >= i)
			bytes += p->rate_bytes[(p->rate_slot - i) % NET_RATE_SLOTS];
	return (double)bytes * 1e6 / (double)(NET_RATE_SLOTS * RATE_SLOT_US);
}

/* ------------------------------------------------------------------------------------------------ the window */

static void restart_window(struct net_path *p, int64_t now_us)
{
	p->window_us = now_us;
	p->busy_us = 0;
	p->work = 0;
	p->ended = 0;
	p->touched_us = now_us;
}

static void touch(struct net_path *p, int64_t now_us)
{
	if (now_us > p->touched_us)
		p->busy_us += (double)p->in_flight * (double)(now_us - p->touched_us);
	p->touched_us = now_us;
}

static void set_limit(struct net_path *p, double limit, int64_t now_us)
{
	if (limit < NET_LIMIT_MIN)
		limit = NET_LIMIT_MIN;
	if (limit > NET_LIMIT_MAX)
		limit = NET_LIMIT_MAX;
	p->limit = limit;
	/* What is in flight began under the old limit: its end says nothing about the new one. */
	p->settled_us = now_us + (int64_t)p->duration_us;
	restart_window(p, now_us);
}

/* ---------------------------------------------------------------------------------------------- the controller */

static void be_steady(struct net_path *p, int64_t now_us)
{
	p->phase = NET_STEADY;
	p->odd_windows = 0;
	p->next_probe_us = now_us + p->probe_pause_us;
	restart_window(p, now_us);
}

static void search_again(struct net_path *p, int64_t now_us)
{
	p->phase = NET_STARTING;
	p->ref_work = 0;
	p->odd_windows = 0;
	p->probe_pause_us = PROBE_PAUSE_MIN_US;
	p->rtt_settled_us = extreme(&p->rtt_us, true);
	restart_window(p, now_us);
}

static void step_up(struct net_path *p, double work, double running, double factor, int64_t now_us)
{
	p->ref_work = work;
	p->ref_running = running;
	p->limit_before = p->limit;
	if (p->limit >= NET_LIMIT_MAX) {
		p->probe_pause_us = PROBE_PAUSE_MAX_US;
		be_steady(p, now_us);
		return;
	}
	set_limit(p, p->limit * factor, now_us);
}

/* After a step up: WORK per second with RUNNING in flight. */
static void judge_step_up(struct net_path *p, double work, double running, double factor, int64_t now_us)
{
	double more = running / p->ref_running;

	if (more < USED_RATIO) {
		p->probe_pause_us = PROBE_PAUSE_MIN_US;
		p->ref_work = mix(p->ref_work, work, 0.3);
		be_steady(p, now_us);
	} else if (work / p->ref_work - 1 >= GAIN_OF_LINEAR * (more - 1)) {
		p->probe_pause_us = PROBE_PAUSE_MIN_US;
		step_up(p, work, running, factor, now_us);
	} else {
		set_limit(p, p->limit_before, now_us);
		if (p->phase == NET_PROBING_UP && p->probe_pause_us < PROBE_PAUSE_MAX_US)
			p->probe_pause_us *= 2;
		be_steady(p, now_us);
	}
}

static void judge_step_down(struct net_path *p, double work, double running, int64_t now_us)
{
	if (work >= PROBE_DOWN_KEEPS * p->ref_work) {
		p->ref_running = running;
	} else {
		set_limit(p, p->limit_before, now_us);
		if (p->probe_pause_us < PROBE_PAUSE_MAX_US)
			p->probe_pause_us *= 2;
	}
	be_steady(p, now_us);
}

static bool rtt_has_changed(const struct net_path *p)
{
	double rtt_us = extreme(&p->rtt_us, true);

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
		p->ref_work = mix(p->ref_work, work, 0.3);
		p->ref_running = running;
	}
	restart_window(p, now_us);
	if (now_us < p->next_probe_us || p->odd_windows > 0)
		return;
	p->limit_before = p->limit;
	if (p->slowdown > CROWDED && p->limit > NET_LIMIT_MIN && p->probe_pause_us > PROBE_PAUSE_MIN_US) {
		p->phase = NET_PROBING_DOWN;
		set_limit(p, (running < p->limit ? running : p->limit) * PROBE_DOWN, now_us);
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
		set_limit(p, p->limit_before, now_us);
		p->ref_work = 0;
		be_steady(p, now_us);
	} else {
		p->ref_work = p->phase == NET_STEADY ? work : 0;
		p->ref_running = running;
		restart_window(p, now_us);
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
		restart_window(p, now_us);
		break;
	}
}

/* Ends the window when it has seen enough. */
static void control(struct net_path *p, int64_t now_us)
{
	int64_t elapsed_us = now_us - p->window_us;
	double running, wanted;

	if (now_us < p->settled_us) {
		restart_window(p, now_us);
		return;
	}
	if (elapsed_us < WINDOW_MIN_US || (double)elapsed_us < p->duration_us)
		return;
	running = p->busy_us / (double)elapsed_us;
	wanted = p->phase == NET_STARTING ? running : 2 * running;
	if ((p->ended < 8 || (double)p->ended < wanted) && (elapsed_us < WINDOW_LONG_US || p->ended < 4))
		return;
	if (running < p->limit / 2) {
		restart_window(p, now_us); /* not bound by the limit: nothing is learned about it */
		return;
	}
	judge(p, p->work * 1e6 / (double)elapsed_us, running, now_us);
}

/* ------------------------------------------------------------------------------------------------- slow down */

static void recover(struct net_path *p, int64_t now_us)
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
		p->probe_pause_us = PROBE_PAUSE_MAX_US;
		be_steady(p, now_us);
	}
}

/* One that is refused now and then says nothing about how many there are. */
static bool refuses(const struct net_path *p, double share)
{
	return p->pace_refused >= REFUSED_MIN && p->pace_refused >= share * (p->pace_refused + p->pace_ok);
}

/* The rate that the server accepts is the best guess of what it will. */
static void check_pace(struct net_path *p, int64_t now_us)
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

static void count_refusal(struct net_path *p, int64_t now_us)
{
	p->throttled++;
	p->throttled_us = now_us;
}

static void slow_down(struct net_path *p, int64_t now_us)
{
	double from = p->limit < p->in_flight + 1 ? p->limit : p->in_flight + 1;

	count_refusal(p, now_us);
	p->pace_refused++;
	if (!refuses(p, REFUSED_CUT_SHARE) || (p->cut_us && now_us - p->cut_us < CUT_DEAD_BAND_US))
		return;
	p->recover_to = p->phase == NET_RECOVERING ? p->recover_to * RECOVER_KEEPS : p->limit;
	if (p->recover_to < from)
		p->recover_to = from;
	p->cut_us = p->grown_us = now_us;
	p->phase = NET_RECOVERING;
	set_limit(p, from * CUT, now_us);
}

static void refill_pace(struct net_path *p, int64_t now_us)
{
	p->pace_tokens += p->pace_per_s * (double)(now_us - p->paced_us) / 1e6;
	if (p->pace_tokens > PACE_BURST)
		p->pace_tokens = PACE_BURST;
	p->paced_us = now_us;
}

/* -------------------------------------------------------------------------------------------------- the path */

void net_path_init(struct net_path *p, const char *endpoint, enum sched_direction direction, bool is_controlled,
		   int64_t now_us)
{
	*p = (struct net_path){
		.endpoint = endpoint,
		.direction = direction,
		.is_controlled = is_controlled,
		.limit = BLIND_LIMIT,
		.probe_pause_us = PROBE_PAUSE_MIN_US,
		.pace_tokens = PACE_BURST,
		.paced_us = now_us,
		.pace_checked_us = now_us,
		.grown_us = now_us,
	};
	late_init(&p->late);
	restart_window(p, now_us);
}

/* What a class may have although the limit is used up by others, so that it need not wait for one of theirs to end. */
static unsigned guaranteed(const struct net_path *p, enum sched_class class)
{
	unsigned share = (unsigned)p->limit / (class != SCHED_HIGH ? 8 : p->phase == NET_RECOVERING ? 2 : 1);

	return share < 2 ? 2 : share;
}

bool net_path_allows(struct net_path *p, enum sched_class class, int64_t now_us)
{
	if (class == SCHED_INTERACTIVE || !p->is_controlled)
		return true;
	if (p->in_flight >= (unsigned)p->limit && p->running[class] >= guaranteed(p, class))
		return false;
	if (p->pace_per_s == 0)
		return true;
	refill_pace(p, now_us);
	return p->pace_tokens >= 1;
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

void net_path_start(struct net_path *p, enum sched_class class, int64_t now_us)
{
	p->running[class]++;
	if (p->pace_per_s > 0) {
		refill_pace(p, now_us);
		p->pace_tokens -= 1;
	}
	if (class == SCHED_INTERACTIVE)
		return;
	touch(p, now_us);
	if (p->in_flight == 0)
		restart_window(p, now_us); /* a pause is no measurement */
	p->in_flight++;
}

/* The round trip says where to begin. */
static void start_by_band(struct net_path *p)
{
	if (p->is_banded || net_path_band(p) == SCHED_BAND_UNKNOWN)
		return;
	p->is_banded = true;
	p->rtt_settled_us = extreme(&p->rtt_us, true);
	if (p->phase == NET_STARTING && p->ref_work == 0)
		p->limit = START_LIMIT * net_band_factor(net_path_band(p));
}

void net_path_end(struct net_path *p, enum sched_class class, const struct net_sample *s)
{
	assert(p->running[class] > 0);
	p->running[class]--;
	p->requests++;
	if (class != SCHED_INTERACTIVE) {
		touch(p, s->now_us);
		p->in_flight--;
	}
	if (s->error == S3_ERR_THROTTLED && s->on_this_side) {
		if (p->is_controlled)
			slow_down(p, s->now_us);
		else
			count_refusal(p, s->now_us);
	} else if (s->error == S3_OK) {
		p->pace_ok++;
		p->bytes += s->bytes;
		measure(p, s);
		count_rate(p, s->now_us, s->bytes);
		start_by_band(p);
		p->work += (double)s->bytes + REQUEST_WORK;
		p->ended++;
	} else if (s->on_this_side && s3_error_is_retryable(s->error)) {
		p->errors++; /* a 404 or a 412 is an answer, and says nothing about the network */
	}
	if (!p->is_controlled)
		return;
	check_pace(p, s->now_us);
	recover(p, s->now_us);
	if (class != SCHED_INTERACTIVE)
		control(p, s->now_us);
}

static const char *const phase_names[] = {
	[NET_STARTING] = "growing",
	[NET_STEADY] = "steady",
	[NET_PROBING_UP] = "trying more",
	[NET_PROBING_DOWN] = "trying less",
	[NET_RECOVERING] = "recovering",
};

void net_path_stats(const struct net_path *p, int64_t now_us, struct sched_path_stats *out)
{
	*out = (struct sched_path_stats){
		.direction = p->direction,
		.band = net_path_band(p),
		.rtt_us = (uint32_t)extreme(&p->rtt_us, true),
		.rtt_mean_us = (uint32_t)p->rtt_mean_us,
		.first_byte_us = (uint32_t)p->late.p90_us,
		.slowdown = p->slowdown,
		.goodput_bytes_per_s = net_path_goodput(p, now_us),
		.connection_bytes_per_s = extreme(&p->rate, false),
		.limit = p->is_controlled ? (unsigned)p->limit : 0,
		.phase = p->is_controlled ? phase_names[p->phase] : "fixed",
		.in_flight = p->in_flight,
		.pace_per_s = p->pace_per_s,
		.requests = p->requests,
		.errors = p->errors,
		.throttled = p->throttled,
		.bytes = p->bytes,
	};
	snprintf(out->endpoint, sizeof(out->endpoint), "%s", p->endpoint);
}
