/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The source side of a relay: one GET after the other, for each OBJECT segment, fills the ring from which the PUT is
 * fed. Private to s3/.
 *
 * Flow: the GET is paused while the ring could not take another of libcurl's buffers, the PUT while there is too little
 * to be worth sending. Never both: a PUT is paused only when the GET runs and has room, and a GET that is paused or has
 * ended wakes the PUT.
 *
 * The last byte of a GET is kept back until the GET has ended well, so that a PUT is never complete before its source
 * is known to be what it should be. */
#ifndef S3B_RELAY_H
#define S3B_RELAY_H

#include <stdbool.h>
#include <stdint.h>

#include "s3/exchange.h"
#include "s3/ring.h"

struct attempt;

struct relay {
	struct ring ring;
	size_t segment;           /* the one whose GET runs, or ran last */
	struct s3_request source; /* that GET; its strings are the segment's */
	struct exchange get;
	uint64_t source_left_bytes;
	size_t low_bytes;         /* with less in the ring the PUT waits */
	bool put_wanted;          /* the first GET has answered well */
	bool trickles;            /* the source is slow: send what there is */
	uint64_t received_bytes;  /* of the GETs that have ended */
	int64_t first_byte_us;
};

/* 0; -ENOMEM. A->relay is set. */
int relay_open(struct attempt *a);
/* Begins with the first segment; may fail A. */
void relay_start(struct attempt *a);
void relay_source_done(struct attempt *a, CURLcode code);
/* The PUT's body, from all segments. */
size_t relay_body(struct attempt *a, void *buf, size_t len);
void relay_tick(struct attempt *a);
/* Ends what runs, frees A->relay. */
void relay_close(struct attempt *a);

#endif
