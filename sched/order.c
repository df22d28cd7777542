/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Order of changes: a queue of claims for every key that is in use. */
#include "sched/order.h"

#include <assert.h>
#include <stdlib.h>

#include <uthash.h>
#include <utlist.h>

#include "sched/xalloc.h"

struct order_key {
	UT_hash_handle hh;
	struct order_claim *claims;       /* all, in order */
	struct order_claim *writers;      /* the writes, in order */
	struct order_claim *first_unheld; /* every claim before it holds */
	size_t held;
	size_t name_bytes;
	char name[];
};

struct order {
	struct order_key *keys;
	uint64_t next_number;
};

struct order *order_new(void)
{
	return xcalloc(1, sizeof(struct order));
}

void order_free(struct order *o)
{
	if (!o)
		return;
	assert(!o->keys);
	free(o);
}

static struct order_key *key_get(struct order *o, const void *name, size_t name_bytes)
{
	struct order_key *k;

	HASH_FIND(hh, o->keys, name, name_bytes, k);
	if (k)
		return k;
	k = xcalloc(1, sizeof(*k) + name_bytes);
	memcpy(k->name, name, name_bytes);
	k->name_bytes = name_bytes;
	HASH_ADD_KEYPTR(hh, o->keys, k->name, name_bytes, k);
	return k;
}

static void key_drop_if_unused(struct order *o, struct order_key *k)
{
	if (k->claims)
		return;
	HASH_DEL(o->keys, k);
	free(k);
}

/* May the first claim that does not hold be held now? A write needs the key alone; a read needs that no write holds. */
static bool may_hold(const struct order_key *k, const struct order_claim *claim)
{
	if (claim->write)
		return k->held == 0;
	return k->held == 0 || !k->claims->write;
}

static void hold(struct order_key *k, struct order_claim *claim)
{
	claim->held = true;
	claim->change->missing--;
	k->held++;
	k->first_unheld = claim->next;
}

void order_claim(struct order *o, struct order_change *c, const void *name, size_t name_bytes, bool write)
{
	struct order_key *k = key_get(o, name, name_bytes);
	struct order_claim *claim;

	if (c->claim_count == 0)
		c->number = o->next_number++;
	/* A change claims without a gap, so its claim on this key, if it has one, is the last. */
	if (k->claims && k->claims->prev->change == c)
		return;

	if (c->claim_count == c->claim_capacity) {
		c->claim_capacity = c->claim_capacity ? 2 * c->claim_capacity : 2;
		c->claims = xreallocarray(c->claims, c->claim_capacity, sizeof(*c->claims));
	}
	claim = xcalloc(1, sizeof(*claim));
	claim->change = c;
	claim->key = k;
	claim->write = write;
	c->claims[c->claim_count++] = claim;
	c->missing++;
	DL_APPEND(k->claims, claim);
	if (write)
		DL_APPEND2(k->writers, claim, writer_prev, writer_next);
	if (!k->first_unheld) {
		k->first_unheld = claim;
		if (may_hold(k, claim))
			hold(k, claim);
	}
}

/* The writers behind FAILED would destroy what it could not read. Those before it have ended, or FAILED was never
 * ready; the list is short unless one key is written over and over. */
static void doom_writers(const struct order_claim *failed, struct order_change **doomed)
{
	struct order_claim *w;

	DL_FOREACH2(failed->key->writers, w, writer_next) {
		if (w->change->doomed || w->change->number <= failed->change->number)
			continue;
		assert(!w->held);
		w->change->doomed = true;
		LL_PREPEND(*doomed, w->change);
	}
}

static void drop_claim(struct order *o, struct order_claim *claim, struct order_change **ready)
{
	struct order_key *k = claim->key;

	if (k->first_unheld == claim)
		k->first_unheld = claim->next;
	DL_DELETE(k->claims, claim);
	if (claim->write)
		DL_DELETE2(k->writers, claim, writer_prev, writer_next);
	if (claim->held)
		k->held--;
	while (k->first_unheld && may_hold(k, k->first_unheld)) {
		struct order_change *c = k->first_unheld->change;

		hold(k, k->first_unheld);
		if (order_ready(c) && !c->doomed)
			LL_PREPEND(*ready, c);
	}
	key_drop_if_unused(o, k);
	free(claim);
}

/* Lists are collected with the newest first, because appending would cost the length of the list every time. */
static struct order_change *reversed(struct order_change *list)
{
	struct order_change *result = NULL, *next;

	for (; list; list = next) {
		next = list->next;
		list->next = result;
		result = list;
	}
	return result;
}

struct order_ended order_end(struct order *o, struct order_change *c, bool failed)
{
	struct order_ended ended = {0};
	size_t i;

	if (failed)
		for (i = 0; i < c->claim_count; i++)
			if (!c->claims[i]->write)
				doom_writers(c->claims[i], &ended.doomed);
	for (i = 0; i < c->claim_count; i++)
		drop_claim(o, c->claims[i], &ended.ready);
	free(c->claims);
	c->claims = NULL;
	c->claim_count = c->claim_capacity = 0;

	ended.ready = reversed(ended.ready);
	ended.doomed = reversed(ended.doomed);
	return ended;
}
