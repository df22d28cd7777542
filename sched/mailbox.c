/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mailbox: an intrusive list under a lock that is held for a few instructions. */
#include "sched/mailbox.h"

#include <assert.h>
#include <stddef.h>

int mailbox_init(struct mailbox *mb)
{
	mb->first = mb->last = NULL;
	return -pthread_mutex_init(&mb->lock, NULL);
}

void mailbox_destroy(struct mailbox *mb)
{
	assert(!mb->first);
	pthread_mutex_destroy(&mb->lock);
}

bool mailbox_push(struct mailbox *mb, struct message *m)
{
	bool was_empty;

	m->next = NULL;
	pthread_mutex_lock(&mb->lock);
	was_empty = !mb->first;
	if (was_empty)
		mb->first = m;
	else
		mb->last->next = m;
	mb->last = m;
	pthread_mutex_unlock(&mb->lock);
	return was_empty;
}

bool mailbox_is_empty(struct mailbox *mb)
{
	bool empty;

	pthread_mutex_lock(&mb->lock);
	empty = !mb->first;
	pthread_mutex_unlock(&mb->lock);
	return empty;
}

struct message *mailbox_take(struct mailbox *mb)
{
	struct message *list;

	pthread_mutex_lock(&mb->lock);
	list = mb->first;
	mb->first = mb->last = NULL;
	pthread_mutex_unlock(&mb->lock);
	return list;
}
