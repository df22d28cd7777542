/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How much memory a relay will really take: an estimate by the size of its object, corrected by what was used. Pure.
 *
 * The estimates are those of whole objects that are sent with all their workers; a request is one worker's share. They
 * are cautious, and what the buffers can hold at most bounds them from above. Learning brings them down to what is
 * really used, so that more relays fit side by side. */
#ifndef S3B_PROFILE_H
#define S3B_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum profile_kind {
	PROFILE_TINY,   /* objects below 1 MB */
	PROFILE_SMALL,  /* 10 MB */
	PROFILE_MEDIUM, /* 100 MB */
	PROFILE_LARGE,  /* 1 GB */
	PROFILE_XLARGE,
	PROFILE__COUNT,
};

struct profile {
	uint64_t samples;
	double ratio;        /* of what was used to the estimate; 1 until something was learned */
	double error_before; /* mean of |estimate - used| / used, uncorrected */
	double error_after;  /* and as it was corrected at that time */
};
struct profiles {
	struct profile kinds[PROFILE__COUNT];
};

void profiles_init(struct profiles *ps);
enum profile_kind profile_of(uint64_t object_bytes);
const char *profile_name(enum profile_kind k);
/* Of one of WORKERS requests that move an object, on a link of FACTOR (net_band_factor; only a poor link counts). */
uint64_t profile_estimate(const struct profiles *ps, uint64_t object_bytes, unsigned workers, double factor);
void profile_learn(struct profiles *ps, uint64_t object_bytes, unsigned workers, double factor, uint64_t used_bytes);

/* As a line of text for each profile, to be kept over restarts. Returns its length, as snprintf does. */
size_t profiles_save(const struct profiles *ps, char *buf, size_t size);
/* False: not such a text; PS is as it was. */
bool profiles_load(struct profiles *ps, const char *text);

#endif
