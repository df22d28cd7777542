/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How long an answer usually lets itself be waited for, and what is too long: when a request that is late is sent a
 * second time, and when it is given up. Pure: the clock is passed in.
 *
 * Percentiles are followed step by step, so that nothing has to be kept; each step only asks whether a sample was above.
 * So a request that was given up before its answer came still counts for what it was: one that was above. */
#ifndef S3B_LATE_H
#define S3B_LATE_H

#include <stdbool.h>
#include <stdint.h>

/* Listings take a server longer than what names one object: each is measured by its like. */
enum late_kind {
	LATE_OBJECT, /* HEAD, GET, the source of a relay */
	LATE_LIST,
	LATE_KIND__COUNT,
};

struct late {
	double p90_us;           /* of all kinds; 0: not known */
	struct {
		double p95_us;
		unsigned samples;
	} kinds[LATE_KIND__COUNT];
	double patience;         /* doubled when waiting was given up too early */
	int64_t widened_us;
	double hedge_tokens;
};

void late_init(struct late *l);
/* An answer of KIND began to come FIRST_BYTE_US after its request. Each pays for a share of a hedge. */
void late_learn(struct late *l, enum late_kind kind, int64_t first_byte_us);
/* A request was cancelled because its hedge answered; until then it had waited for WAITED_US. */
void late_learn_outrun(struct late *l, enum late_kind kind, int64_t waited_us);
/* A request that began at STARTED_US was given up without an answer. */
void late_learn_timeout(struct late *l, int64_t started_us, int64_t now_us);

/* How long a request may move no byte after ATTEMPTS at it, where an answer usually takes USUAL_US; and how long its
 * first byte may take after TIMEOUTS attempts that were given up. A server that became slow, or that is slow for just this
 * object, is waited for longer each time. 0: not known yet. */
int64_t late_stall_ms(double usual_us, unsigned attempts);
int64_t late_first_byte_ms(const struct late *l, unsigned timeouts);

/* When a request of KIND is to be sent a second time; 0: too little is known. */
int64_t late_hedge_ms(const struct late *l, enum late_kind kind);
/* False: too many were, of late. */
bool late_take_hedge(struct late *l);

#endif
