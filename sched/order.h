/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which change waits for which. Pure: one thread, no clock, nothing of S3.
 *
 * A change claims keys, to read or to write, all at once and in order of submission; so there can be no cycle. Of one key
 * either the first claim is a write and holds alone, or all claims up to the first write hold together. A change is
 * ready when all its claims hold. When a change that read a key fails, the changes behind it that write the key are
 * doomed: they would destroy what could not be copied. */
#ifndef S3B_ORDER_H
#define S3B_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order;
struct order_key;
struct order_change;

struct order_claim {
	struct order_change *change;
	struct order_key *key;
	bool write, held;
	struct order_claim *prev, *next;                 /* of the key, in order */
	struct order_claim *writer_prev, *writer_next;   /* the writes among them */
};

/* Lives in the caller's record; zeroed before order_claim is first called. */
struct order_change {
	struct order_claim **claims;
	size_t claim_count, claim_capacity;
	size_t missing;              /* claims that do not hold yet */
	uint64_t number;             /* in order of submission */
	bool doomed;
	struct order_change *next;   /* link in the lists that order_end returns */
};

struct order *order_new(void);
void order_free(struct order *o); /* every change has ended */

/* C will write (or read) KEY. A key claimed to write need not be claimed to read, and the other way round a read stays
 * one: claim what is written first. Between the first claim of a change and the last no other change may claim. */
void order_claim(struct order *o, struct order_change *c, const void *key, size_t key_bytes, bool write);
static inline bool order_ready(const struct order_change *c)
{
	return c->missing == 0;
}

struct order_ended {
	struct order_change *ready;  /* may start now, in order of submission for each key */
	struct order_change *doomed; /* marked, still to be ended by the caller; each is given once and never as ready */
};
/* C has ended and leaves; its claims are freed. */
struct order_ended order_end(struct order *o, struct order_change *c, bool failed);

#endif
