/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network monitor: what each way to a server can carry, and how much to ask of it. Pure: the clock is passed in.
 *
 * A path is one endpoint in one direction. Each has a limit on the transfers in flight, found by measurement: from a
 * start that the round trip suggests it doubles as long as a step gains, and from then on it looks now and then whether
 * more is better, or less as good. A server that says "slow down" is believed at once: the limit is cut and comes back
 * slowly, and requests are started at no more than the rate that the server was seen to accept.
 *
 * Limits bind each other where a relay uses two paths. A limit that was raised and could not be used, because another
 * bound it, stays raised: else two paths that probe in turn would hold each other down for ever. */
#ifndef S3B_NET_H
#define S3B_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "s3/s3.h"
#include "sched/late.h"
#include "sched/sched.h"

#define NET_LIMIT_MIN 4u
#define NET_LIMIT_MAX 512u
#define NET_RATE_SLOTS 8 /* the last two seconds, by quarters */

enum net_phase {
	NET_STARTING,     /* doubles while it gains */
	NET_STEADY,
	NET_PROBING_UP,
	NET_PROBING_DOWN,
	NET_RECOVERING,   /* after "slow down" */
};

/* The smallest (or largest) of the last one to two periods. */
struct net_extreme {
	double now, before;
	int64_t since_us;
};

struct net_path {
	/* fixed */
	const char *endpoint;
	enum sched_direction direction;
	bool is_controlled; /* false: measured, but without a limit */

	/* in flight; readers that a person waits for are not limited, and not counted */
	unsigned running[SCHED_CLASS__COUNT], in_flight;

	/* the link */
	/* The baseline, without queueing. What TCP measures ends at the first proxy on the way, what the first byte takes
	 * holds the server's work too: the distance is the larger of the smallest of each. */
	struct net_extreme rtt_us, answer_us;
	struct net_extreme rate;         /* largest bytes per second of one connection */
	double rtt_mean_us;
	struct late late;                /* times to the first byte */
	double duration_us;              /* mean, of a request */
	double slowdown;                 /* mean of how much longer than alone a request takes */
	double rtt_settled_us;           /* the baseline when the limit was last looked for */

	/* the limit */
	double limit;
	enum net_phase phase;
	bool is_banded;                  /* the start followed from a measured round trip */
	double limit_before;             /* of the step under way */
	double ref_work, ref_running;    /* work per second at so many in flight; 0: not known */
	double ref_size;                 /* and the mean work of a request there: windows of another mix tell nothing */
	unsigned odd_windows;            /* in a row that are far from the reference */
	int64_t settled_us;              /* nothing is measured before: what runs began under the old limit */
	int64_t next_probe_us, probe_pause_us;

	/* what is being measured */
	int64_t window_us, touched_us;
	double busy_us;                  /* in flight × time */
	double work;
	unsigned ended;

	/* "slow down" */
	int64_t cut_us, grown_us, throttled_us;
	double recover_to;
	double pace_per_s;               /* 0: not paced */
	double pace_tokens;
	int64_t paced_us, pace_checked_us;
	unsigned pace_ok, pace_refused;  /* since pace_checked_us */

	/* totals */
	uint64_t requests, errors, throttled, bytes;
	uint64_t rate_bytes[NET_RATE_SLOTS];
	unsigned rate_ended[NET_RATE_SLOTS];
	int64_t rate_slot; /* the number of the newest quarter second */
};

/* One request that has ended. */
struct net_sample {
	int64_t now_us;
	int64_t duration_us;
	int64_t first_byte_us; /* after the start; 0: none came, or it says nothing about the path */
	uint32_t rtt_us;       /* 0: unknown */
	int64_t answer_us;     /* what a request and its answer took, hardly anything of it for bytes; 0: unknown */
	uint64_t bytes;        /* that moved on this path */
	enum s3_error error;
	bool on_this_side;     /* the error came from this path's server */
	bool is_transfer;      /* its times are the network's, not those of work that the server does */
};

void net_path_init(struct net_path *p, const char *endpoint, enum sched_direction direction, bool is_controlled,
		   int64_t now_us);
/* May a transfer of CLASS start now? */
bool net_path_allows(struct net_path *p, enum sched_class class, int64_t now_us);
/* Is it neither at its limit nor told to slow down of late? Then a request that is not needed may be tried. */
bool net_path_has_room(const struct net_path *p, int64_t now_us);
/* When a path that does not allow because of its pace will, or -1: when something ends. */
int64_t net_path_next_us(const struct net_path *p, int64_t now_us);
void net_path_start(struct net_path *p, enum sched_class class, int64_t now_us);
void net_path_end(struct net_path *p, enum sched_class class, const struct net_sample *sample);

/* Another request to the same server was answered in so long. */
void net_path_answered(struct net_path *p, int64_t answer_us, int64_t now_us);

enum sched_band net_path_band(const struct net_path *p);
/* What a band means for concurrency and the size of chunks at the start, and for the wait before a retry. */
double net_band_factor(enum sched_band band);
/* How long a request that was tried ATTEMPTS times before may move no byte; 0: too little is known. */
int64_t net_path_stall_ms(const struct net_path *p, unsigned attempts);
/* Over the last two seconds. */
double net_path_goodput(const struct net_path *p, int64_t now_us);
void net_path_stats(const struct net_path *p, int64_t now_us, struct sched_path_stats *out);

/* Retries of one endpoint: as many as its successes pay for, and a few a second. Without it, a thousand jobs whose
 * server is down would knock at it eight thousand times. */
struct net_budget {
	double tokens;
	int64_t filled_us;
};
void net_budget_init(struct net_budget *b, int64_t now_us);
void net_budget_success(struct net_budget *b);
/* Takes one retry; returns how long it must wait at least. */
int64_t net_budget_take_ms(struct net_budget *b, int64_t now_us);

/* ------------------------------------------------------------------------------------------------- all of them */

struct net_endpoint {
	char *name;
	struct net_path paths[SCHED_DIRECTION__COUNT];
	struct net_budget budget;
	UT_hash_handle hh;
};
struct net {
	struct net_endpoint *endpoints; /* in the order in which they were met */
	bool is_controlled;
};
struct net_endpoint *net_endpoint(struct net *n, const char *name, int64_t now_us);
void net_clear(struct net *n);

#endif
