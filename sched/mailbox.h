/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How other threads hand work to the scheduler's. A message lives inside the record it hands over. */
#ifndef S3B_MAILBOX_H
#define S3B_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

struct sched;

struct message {
	struct message *next;
	/* Runs on the scheduler thread and owns the record from then on. */
	void (*run)(struct sched *s, struct message *m);
};

struct mailbox {
	pthread_mutex_t lock;
	struct message *first, *last; /* under lock */
};

int mailbox_init(struct mailbox *mb); /* 0 or -errno */
void mailbox_destroy(struct mailbox *mb);
/* True when it was empty: then the reader may be asleep. */
bool mailbox_push(struct mailbox *mb, struct message *m);
bool mailbox_is_empty(struct mailbox *mb);
/* Everything, in order of arrival, and nothing is left. */
struct message *mailbox_take(struct mailbox *mb);

#endif
