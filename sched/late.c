/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Times to the first byte: percentiles, timeouts, and the budget of hedges. */
#include "sched/late.h"

#define FIRST_STEP 0.1          /* of the value: how far a percentile moves for a sample above or below */

#define STALL_MIN_MS 10000
#define STALL_MAX_MS 60000
#define STALL_DOUBLINGS 4u
#define FIRST_BYTE_MIN_MS 2000
#define FIRST_BYTE_MAX_MS 30000
#define USUAL_FACTOR 20         /* times the 90th percentile */
#define PATIENCE_MAX 16.0
#define PATIENCE_FADES 0.98     /* with every answer */

#define HEDGE_FACTOR 2          /* times the 95th percentile */
#define HEDGE_MIN_MS 50
#define HEDGE_SAMPLES 32        /* with fewer nobody knows what is usual */
#define HEDGE_SHARE 0.03        /* of the requests */
#define HEDGE_BURST 4.0

void late_init(struct late *l)
{
	*l = (struct late){.patience = 1, .hedge_tokens = HEDGE_BURST};
}

/* In balance as many samples are above as the percentile says. */
static void follow(double *value, double percentile, double sample)
{
	double step = *value * FIRST_STEP;

	if (*value == 0)
		*value = sample;
	else
		*value += sample > *value ? percentile * step : -(1 - percentile) * step;
}

static void learn(struct late *l, enum late_kind kind, int64_t first_byte_us)
{
	follow(&l->p90_us, 0.9, (double)first_byte_us);
	follow(&l->kinds[kind].p95_us, 0.95, (double)first_byte_us);
}

void late_learn(struct late *l, enum late_kind kind, int64_t first_byte_us)
{
	learn(l, kind, first_byte_us);
	l->kinds[kind].samples++;
	l->patience *= PATIENCE_FADES;
	if (l->patience < 1)
		l->patience = 1;
	l->hedge_tokens += HEDGE_SHARE;
	if (l->hedge_tokens > HEDGE_BURST)
		l->hedge_tokens = HEDGE_BURST;
}

void late_learn_outrun(struct late *l, enum late_kind kind, int64_t waited_us)
{
	learn(l, kind, waited_us);
}

void late_learn_timeout(struct late *l, int64_t started_us, int64_t now_us)
{
	/* Many that wait at once are given up at once: together they are one mistake. */
	if (started_us < l->widened_us)
		return;
	l->widened_us = now_us;
	l->patience *= 2;
	if (l->patience > PATIENCE_MAX)
		l->patience = PATIENCE_MAX;
}

static double within(double value, double least, double most)
{
	return value < least ? least : value > most ? most : value;
}

int64_t late_stall_ms(double usual_us, unsigned attempts)
{
	if (usual_us == 0)
		return 0;
	return (int64_t)within(usual_us * USUAL_FACTOR / 1000, STALL_MIN_MS, STALL_MAX_MS)
	       << (attempts < STALL_DOUBLINGS ? attempts : STALL_DOUBLINGS);
}

int64_t late_first_byte_ms(const struct late *l, unsigned timeouts)
{
	double ms = within(l->p90_us * USUAL_FACTOR / 1000, FIRST_BYTE_MIN_MS, FIRST_BYTE_MAX_MS) * l->patience;

	if (l->p90_us == 0)
		return 0;
	for (; timeouts > 0 && ms < FIRST_BYTE_MAX_MS; timeouts--)
		ms *= 2;
	return (int64_t)within(ms, FIRST_BYTE_MIN_MS, FIRST_BYTE_MAX_MS);
}

int64_t late_hedge_ms(const struct late *l, enum late_kind kind)
{
	int64_t ms = (int64_t)(l->kinds[kind].p95_us * HEDGE_FACTOR / 1000);

	if (l->kinds[kind].samples < HEDGE_SAMPLES)
		return 0;
	return ms < HEDGE_MIN_MS ? HEDGE_MIN_MS : ms;
}

bool late_take_hedge(struct late *l)
{
	if (l->hedge_tokens < 1)
		return false;
	l->hedge_tokens -= 1;
	return true;
}
