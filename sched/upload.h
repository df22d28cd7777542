/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A multipart upload: created with its first part, at most chunk_workers parts at once, completed or aborted. Serves
 * commits as well as the streaming writers of sched.h. */
#ifndef S3B_UPLOAD_H
#define S3B_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/plan.h"
#include "sched/task.h"

enum upload_state {
	UPLOAD_NEW,        /* nothing has been sent */
	UPLOAD_CREATING,
	UPLOAD_OPEN,
	UPLOAD_COMPLETING,
	UPLOAD_CHECKING,   /* was it completed after all? */
	UPLOAD_COMPLETED,
	UPLOAD_FAILED,     /* cannot be used any more; ERROR says why */
};

/* One part. Lives in its owner's record; the first group is the owner's. */
struct upload_part {
	uint32_t number;
	uint64_t length_bytes;
	uint64_t relay_bytes;
	const struct s3_bucket *read_from; /* whose server the relayed bytes come from */
	/* The request, without upload id and part number. */
	struct s3_request *(*build)(struct upload_part *p);
	/* Once, when it is there or has failed for good; P is out of the upload. */
	void (*ended)(struct upload_part *p, const struct s3_result *r);

	struct sched_upload *upload;
	struct sched_task task;
	struct upload_part *prev, *next;
};

struct sched_upload {
	/* fixed after upload_new */
	struct sched *sched;
	const struct s3_bucket *bucket;
	char *key;
	struct s3_headers headers;

	/* the scheduler thread's */
	enum upload_state state;
	bool listed;              /* in s->uploads */
	bool ending;              /* freed when nothing is in flight */
	enum sched_class class;
	int64_t since_ms;
	uint64_t size_bytes;      /* 0: not known */
	/* Made by a commit whose turn has come. One that a program fills may wait for others to end, so it must never
	 * keep them from beginning. */
	bool is_of_commit;
	bool is_open;             /* counted in s->open_uploads, */
	enum sched_class open_class; /* there */
	char *upload_id;
	enum s3_error error;
	char *message;
	uint64_t sent_bytes;
	struct upload_part *pending, *active;
	unsigned active_count;
	struct s3_part *parts;    /* what is there, by number - 1; number 0: not there */
	size_t part_capacity;
	struct sched_task control; /* create, complete, check */

	struct s3_part *complete_parts; /* until sent */
	size_t complete_count;
	uint64_t complete_bytes;
	void (*completed)(struct sched_upload *u, const struct s3_result *r);
	void (*idle)(struct sched_upload *u); /* no part is pending or active; may be NULL */
	void (*ended)(void *arg);             /* the upload is gone */
	void *ended_arg;
	void *owner;
	struct message abort_message;
	struct sched_upload *prev, *next;
};

struct sched_upload *upload_new(struct sched *s, const struct s3_bucket *bucket, const char *key,
				const struct s3_headers *headers);
/* What is known of the way to BUCKET, and how many parts of one object may be on it at once. */
struct plan_link upload_link(struct sched *s, const struct s3_bucket *bucket);
unsigned upload_workers(const struct sched_upload *u);
void upload_add(struct sched_upload *u, struct upload_part *p);
bool upload_is_idle(const struct sched_upload *u);
/* NULL: that part is not there. */
const struct s3_part *upload_find(const struct sched_upload *u, uint32_t number);
/* PARTS move here. Nothing may be pending or active. */
void upload_complete(struct sched_upload *u, struct s3_part *parts, size_t count, uint64_t size_bytes,
		     void (*completed)(struct sched_upload *u, const struct s3_result *r));
/* Cancels what is in flight; parts that come now or later fail with S3_ERR_CANCELLED and WHY. May be called from a part's
 * ended(), where upload_end must not: U is still in use there. */
void upload_stop(struct sched_upload *u, const char *why);
/* Ends it: what is in flight is cancelled, and when all of it is back, the upload is aborted (unless it was completed)
 * in the background, ENDED is called, and U is freed. */
void upload_end(struct sched_upload *u, void (*ended)(void *arg), void *arg);

#endif
