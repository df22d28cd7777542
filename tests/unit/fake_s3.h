/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An S3 in memory behind struct s3_backend_ops, with a virtual clock and faults from a seed. It also stands in for
 * s3/bucket.c, so what links it needs no cryptography. */
#ifndef S3B_TEST_FAKE_S3_H
#define S3B_TEST_FAKE_S3_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uthash.h>

#include "s3/s3.h"
#include "sched/heap.h"
#include "tests/unit/fake_content.h"

struct s3_bucket {
	char label[32];
	char name[32];
	char endpoint[64];
	int account;
	enum s3_error copy_error; /* what the server answers to copies into it; S3_OK: it copies */
};

struct fake_object {
	UT_hash_handle hh;
	const struct s3_bucket *bucket;
	struct fake_content content;
	struct s3_headers headers;
	char etag[96];
	struct timespec last_modified;
	bool unclear; /* the answer to the request that made it was lost */
	char key[];
};

struct fake_upload {
	UT_hash_handle hh;
	char id[32];
	const struct s3_bucket *bucket;
	char *key;
	struct s3_headers headers;
	bool lost; /* the answer to its creation was lost, so nobody can know it */
	struct fake_part {
		struct fake_content content;
		char etag[96];
	} *parts;
	size_t part_capacity; /* by number - 1; an empty ETag: not there */
};

/* A fault that is planned: the next COUNT requests of OP, after SKIP others. */
struct fake_fault {
	enum s3_op op;
	const char *key; /* NULL: any */
	enum s3_error error;
	bool source_failed;
	bool applied;    /* it took effect, only the answer was lost */
	unsigned skip, count;
	int64_t retry_after_ms;
	uint64_t after_bytes; /* GET: so many were delivered before */
};

#define FAKE_FAULTS_MAX 8

struct fake_s3 {
	struct s3_backend backend; /* first */
	pthread_mutex_t lock;
	pthread_cond_t woken_cond;
	bool woken;
	bool threaded;   /* real waiting, because another thread will wake us */
	int64_t now_us;
	uint64_t random;
	uint64_t next_etag;
	struct heap events;
	struct fake_object *objects;
	struct fake_upload *uploads;

	/* set by the test */
	int64_t latency_us;         /* of a request */
	uint64_t bytes_per_second;  /* of one connection */
	uint64_t copy_bytes_per_second;
	uint64_t total_bytes_per_second;     /* of all connections; 0: no bound. They share it evenly */
	unsigned late_permille;              /* of what reads: the first byte comes so much later */
	int64_t late_us;
	double requests_per_second;          /* more are answered 503; 0: no bound */
	double request_tokens;
	int64_t request_tokens_us;
	unsigned retryable_permille, fatal_permille; /* random faults */
	struct fake_fault faults[FAKE_FAULTS_MAX];
	size_t fault_count;
	/* Called before a request takes effect. */
	void (*before)(struct fake_s3 *f, struct s3_request *r, void *arg);
	void *before_arg;

	/* for the test to look at */
	unsigned moving;      /* requests with a body in flight */
	unsigned in_flight, in_flight_op[S3_OP__COUNT];
	unsigned in_flight_max, in_flight_op_max[S3_OP__COUNT];
	uint64_t requests[S3_OP__COUNT];
	uint64_t injected[S3_ERR__COUNT];
	uint64_t lost_uploads;
	bool losing_answer; /* of what is being done now */
};

struct fake_s3 *fake_s3_new(uint64_t seed);
void fake_s3_free(struct fake_s3 *f);
void fake_bucket_init(struct s3_bucket *b, const char *name, int account);
uint64_t fake_random(struct fake_s3 *f, uint64_t below);
void fake_plan_fault(struct fake_s3 *f, struct fake_fault fault);

/* Stores SIZE bytes of pattern SEED (0: zeros); returns the object. */
struct fake_object *fake_put(struct fake_s3 *f, const struct s3_bucket *b, const char *key, uint64_t seed, uint64_t size);
struct fake_object *fake_find(struct fake_s3 *f, const struct s3_bucket *b, const char *key);
void fake_remove(struct fake_s3 *f, const struct s3_bucket *b, const char *key);
unsigned fake_upload_count(struct fake_s3 *f, bool lost);

#endif
