/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Network monitor: what is measured of a path, and what may start on it. */
#include "sched/net.h"

#include <assert.h>
#include <stdio.h>

#include "sched/net_internal.h"

#define EXTREME_PERIOD_US (5 * NET_SECOND_US)
#define RATE_SLOT_US (NET_SECOND_US / 4)

/* A request costs the round trip even when it carries little: work is bytes and so many for each request. */
#define REQUEST_WORK 262144.0
#define ALONE_MIN_US 1000.0        /* what a request takes at least: below it is the machine's time, not the link's */
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

double net_extreme(const struct net_extreme *x, bool want_least)
{
	if (x->before == 0)
		return x->now;
	return (x->now < x->before) == want_least ? x->now : x->before;
}

double net_mix(double mean, double value, double weight)
{
	return mean == 0 ? value : mean + weight * (value - mean);
}

double net_baseline_us(const struct net_path *p)
{
	double rtt_us = net_extreme(&p->rtt_us, true), answer_us = net_extreme(&p->answer_us, true);

	return rtt_us > answer_us ? rtt_us : answer_us;
}

void net_path_answered(struct net_path *p, int64_t answer_us, int64_t now_us)
{
	if (answer_us > 0)
		extreme_add(&p->answer_us, (double)answer_us, true, now_us);
}

enum sched_band net_path_band(const struct net_path *p)
{
	double rtt_us = net_baseline_us(p);
	enum sched_band b = SCHED_BAND_EXCELLENT;

	if (rtt_us == 0)
		return SCHED_BAND_UNKNOWN;
	while (b < SCHED_BAND_POOR && rtt_us >= bands[b].below_us)
		b++;
	return b;
}

static void measure(struct net_path *p, const struct net_sample *s)
{
	double alone_us, seen_us = s->answer_us > 0 ? (double)s->answer_us : s->rtt_us;
	int64_t moving_us = s->duration_us - s->first_byte_us;

	if (s->rtt_us > 0)
		extreme_add(&p->rtt_us, s->rtt_us, true, s->now_us);
	net_path_answered(p, s->answer_us, s->now_us);
	if (seen_us > 0)
		p->rtt_mean_us = net_mix(p->rtt_mean_us, seen_us, 0.1);
	if (!s->is_transfer)
		return;
	p->duration_us = net_mix(p->duration_us, (double)s->duration_us, 0.1);
	if (s->bytes >= RATE_MIN_BYTES && moving_us > 0)
		extreme_add(&p->rate, (double)s->bytes * 1e6 / (double)moving_us, false, s->now_us);
	alone_us = net_baseline_us(p);
	if (alone_us == 0)
		return;
	if (alone_us < ALONE_MIN_US)
		alone_us = ALONE_MIN_US;
	if (net_extreme(&p->rate, false) > 0)
		alone_us += (double)s->bytes * 1e6 / net_extreme(&p->rate, false);
	p->slowdown = net_mix(p->slowdown, (double)s->duration_us / alone_us, 0.1);
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

int64_t net_path_stall_ms(const struct net_path *p, unsigned attempts)
{
	/* Nothing but answers tells how soon a server that is written to does something. */
	return late_stall_ms(p->late.p90_us > 0 ? p->late.p90_us : p->rtt_mean_us, attempts);
}

/* -------------------------------------------------------------------------------------------------- the path */

void net_path_init(struct net_path *p, const char *endpoint, enum sched_direction direction, bool is_controlled,
		   int64_t now_us)
{
	*p = (struct net_path){
		.endpoint = endpoint,
		.direction = direction,
		.is_controlled = is_controlled,
	};
	late_init(&p->late);
	net_limit_init(p, now_us);
	net_pace_init(p, now_us);
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
	net_pace_refill(p, now_us);
	return p->pace_tokens >= 1;
}

void net_path_start(struct net_path *p, enum sched_class class, int64_t now_us)
{
	p->running[class]++;
	if (p->pace_per_s > 0) {
		net_pace_refill(p, now_us);
		p->pace_tokens -= 1;
	}
	if (class == SCHED_INTERACTIVE)
		return;
	net_limit_touch(p, now_us);
	if (p->in_flight == 0)
		net_limit_restart(p, now_us); /* a pause is no measurement */
	p->in_flight++;
}

void net_path_end(struct net_path *p, enum sched_class class, const struct net_sample *s)
{
	assert(p->running[class] > 0);
	p->running[class]--;
	p->requests++;
	if (class != SCHED_INTERACTIVE) {
		net_limit_touch(p, s->now_us);
		p->in_flight--;
	}
	if (s->error == S3_ERR_THROTTLED && s->on_this_side) {
		if (p->is_controlled)
			net_pace_slow_down(p, s->now_us);
		else
			net_pace_count_refusal(p, s->now_us);
	} else if (s->error == S3_OK) {
		p->pace_ok++;
		p->bytes += s->bytes;
		measure(p, s);
		count_rate(p, s->now_us, s->bytes);
		net_limit_begin(p);
		p->work += (double)s->bytes + REQUEST_WORK;
		p->ended++;
	} else if (s->on_this_side && s3_error_is_retryable(s->error)) {
		p->errors++; /* a 404 or a 412 is an answer, and says nothing about the network */
	}
	if (!p->is_controlled)
		return;
	net_pace_check(p, s->now_us);
	net_pace_recover(p, s->now_us);
	if (class != SCHED_INTERACTIVE)
		net_limit_control(p, s->now_us);
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
		.rtt_us = (uint32_t)net_baseline_us(p),
		.rtt_mean_us = (uint32_t)p->rtt_mean_us,
		.first_byte_us = (uint32_t)p->late.p90_us,
		.slowdown = p->slowdown,
		.goodput_bytes_per_s = net_path_goodput(p, now_us),
		.connection_bytes_per_s = net_extreme(&p->rate, false),
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
