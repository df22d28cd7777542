/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A job is a change: a commit or a delete. It waits for its turn, goes through its states, and ends once. */
#ifndef S3B_JOB_H
#define S3B_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/internal.h"
#include "sched/plan.h"
#include "sched/task.h"
#include "sched/upload.h"

enum job_state {
	JOB_WAITING,    /* for earlier changes */
	JOB_PLANNING,
	JOB_PUTTING,
	JOB_COPYING,
	JOB_UPLOADING,
	JOB_COMPLETING,
	JOB_CLEANING,   /* deletes the key of an upload that was completed elsewhere */
	JOB_DELETING,
	JOB_CLOSING,    /* lets go of the upload, and waits for what is in flight of it */
	JOB_ENDING,
	JOB_STATE__COUNT,
};

struct job {
	/* until the scheduler has it, the submitter's; then fixed */
	struct message message;
	struct handle handle;
	struct sched *sched;
	bool is_delete;
	const struct s3_bucket *bucket;
	char *key;
	struct s3_headers headers;
	sched_done_fn done;
	void *arg;

	/* the scheduler thread's */
	struct sched_extent *extents;
	size_t extent_count;
	struct sched_upload *upload;
	enum job_state state;
	enum sched_class class;
	int64_t since_ms;
	struct order_change order;
	bool runnable;            /* in s->runnable */
	struct job *run_next;
	struct job *prev, *next;  /* in s->jobs */

	bool cancelled;
	enum s3_error error;      /* the first; S3_OK: none */
	char *message_text;
	unsigned retries;

	struct sched_task task;   /* the one request of a state that has one */
	struct plan plan;
	size_t next_part;         /* of the plan */
	unsigned parts_out;       /* handed to the upload and not ended */
	uint64_t done_bytes;
	bool no_server_copy;      /* the server was asked, and cannot or may not */
	bool restart, restarted;  /* the upload vanished: once from the beginning */
	const struct s3_bucket *first_bucket; /* where the upload was completed, when that is not where it belongs */
	char *first_key;
	char etag[96];
	struct timespec last_modified;
};

/* The only place where a state changes; runs what the new state does. */
void job_enter(struct job *j, enum job_state state);
/* Keeps the first error. */
void job_fail(struct job *j, enum s3_error error, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Enters the state that ends a job: by way of JOB_CLOSING where there is an upload. */
void job_finish(struct job *j);
/* Starts J's own task. */
void job_start_task(struct job *j, enum sched_class class, uint64_t relay_bytes,
		    struct s3_request *(*build)(struct sched_task *t),
		    void (*done)(struct sched *s, struct sched_task *t, const struct s3_result *r));

/* job_commit.c: the states of a commit */
void commit_plan(struct job *j);
void commit_put(struct job *j);
void commit_copy(struct job *j);
void commit_upload(struct job *j);
void commit_complete(struct job *j);
void commit_clean(struct job *j);
/* J is about to own the upload that came with it. */
void commit_adopt_upload(struct job *j);

#endif
