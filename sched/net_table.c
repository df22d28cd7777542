/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The servers that were met, and the retries each may have. */
#include "sched/net.h"

#include <stdlib.h>
#include <string.h>

#include "sched/xalloc.h"

/* ---------------------------------------------------------------------------------------------------- budget */

#define BUDGET_MAX 100.0
#define BUDGET_LEAST (-200.0) /* a server that comes back is not waited for longer than it was away */
#define BUDGET_PER_SUCCESS 0.5
#define BUDGET_PER_S 10.0

void net_budget_init(struct net_budget *b, int64_t now_us)
{
	*b = (struct net_budget){.tokens = BUDGET_MAX, .filled_us = now_us};
}

void net_budget_success(struct net_budget *b)
{
	b->tokens = b->tokens + BUDGET_PER_SUCCESS > BUDGET_MAX ? BUDGET_MAX : b->tokens + BUDGET_PER_SUCCESS;
}

int64_t net_budget_take_ms(struct net_budget *b, int64_t now_us)
{
	b->tokens += BUDGET_PER_S * (double)(now_us - b->filled_us) / 1e6;
	b->filled_us = now_us;
	if (b->tokens > BUDGET_MAX)
		b->tokens = BUDGET_MAX;
	if (b->tokens > BUDGET_LEAST)
		b->tokens -= 1; /* below zero: so many wait already */
	return b->tokens >= 0 ? 0 : (int64_t)(-b->tokens * 1000 / BUDGET_PER_S);
}

/* ------------------------------------------------------------------------------------------------- all of them */

struct net_endpoint *net_endpoint(struct net *n, const char *name, int64_t now_us)
{
	struct net_endpoint *e;
	unsigned d;

	HASH_FIND_STR(n->endpoints, name, e);
	if (e)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->name = xstrdup(name);
	for (d = 0; d < SCHED_DIRECTION__COUNT; d++)
		net_path_init(&e->paths[d], e->name, d, n->is_controlled, now_us);
	net_budget_init(&e->budget, now_us);
	HASH_ADD_KEYPTR(hh, n->endpoints, e->name, strlen(e->name), e);
	return e;
}

void net_clear(struct net *n)
{
	struct net_endpoint *e, *next;

	HASH_ITER(hh, n->endpoints, e, next) {
		HASH_DEL(n->endpoints, e);
		free(e->name);
		free(e);
	}
}
