/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Memory profiles. */
#include "sched/profile.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MIB 1048576.0
#define RATIO_MIN (1.0 / 64)
#define RATIO_MAX 4.0
#define WEIGHT_MIN 0.05 /* of a new sample; the first ones weigh more */
#define HEADROOM 1.25   /* a mean is exceeded by half of those it was made of */

static const struct {
	const char *name;
	uint64_t below_bytes;
	double base_mib, mib_per_mb;
} table[PROFILE__COUNT] = {
	[PROFILE_TINY] = {"tiny", 1000000, 1, 0.5},
	[PROFILE_SMALL] = {"small", 10000000, 2, 0.3},
	[PROFILE_MEDIUM] = {"medium", 100000000, 5, 0.2},
	[PROFILE_LARGE] = {"large", 1000000000, 10, 0.1},
	[PROFILE_XLARGE] = {"xlarge", UINT64_MAX, 20, 0.05},
};

void profiles_init(struct profiles *ps)
{
	unsigned k;

	*ps = (struct profiles){0};
	for (k = 0; k < PROFILE__COUNT; k++)
		ps->kinds[k].ratio = 1;
}

enum profile_kind profile_of(uint64_t object_bytes)
{
	enum profile_kind k = PROFILE_TINY;

	while (k < PROFILE_XLARGE && object_bytes >= table[k].below_bytes)
		k++;
	return k;
}

const char *profile_name(enum profile_kind k)
{
	assert((unsigned)k < PROFILE__COUNT);
	return table[k].name;
}

static double uncorrected(uint64_t object_bytes, unsigned workers, double factor)
{
	enum profile_kind k = profile_of(object_bytes);
	double bytes = (table[k].base_mib + table[k].mib_per_mb * (double)object_bytes / 1e6) * MIB;

	return bytes / (workers ? workers : 1) * (factor < 1 ? factor : 1);
}

uint64_t profile_estimate(const struct profiles *ps, uint64_t object_bytes, unsigned workers, double factor)
{
	const struct profile *p = &ps->kinds[profile_of(object_bytes)];
	double bytes = uncorrected(object_bytes, workers, factor) * p->ratio;

	return (uint64_t)(p->samples ? bytes * HEADROOM : bytes);
}

static double relative_error(double estimate, double used)
{
	return (estimate > used ? estimate - used : used - estimate) / used;
}

void profile_learn(struct profiles *ps, uint64_t object_bytes, unsigned workers, double factor, uint64_t used_bytes)
{
	struct profile *p = &ps->kinds[profile_of(object_bytes)];
	double estimate = uncorrected(object_bytes, workers, factor), used = (double)used_bytes, weight, ratio;

	if (used_bytes == 0)
		return;
	weight = 1 / (double)++p->samples;
	if (weight < WEIGHT_MIN)
		weight = WEIGHT_MIN;
	p->error_before += weight * (relative_error(estimate, used) - p->error_before);
	p->error_after += weight * (relative_error(estimate * p->ratio, used) - p->error_after);
	ratio = used / estimate;
	p->ratio += weight * (ratio - p->ratio);
	if (p->ratio < RATIO_MIN)
		p->ratio = RATIO_MIN;
	if (p->ratio > RATIO_MAX)
		p->ratio = RATIO_MAX;
}

/* ---------------------------------------------------------------------------------------------------- as text */

size_t profiles_save(const struct profiles *ps, char *buf, size_t size)
{
	size_t len = 0;
	unsigned k;

	for (k = 0; k < PROFILE__COUNT; k++) {
		const struct profile *p = &ps->kinds[k];
		/* Millionths, because how a fraction is written depends on the locale. */
		int n = snprintf(len < size ? buf + len : NULL, len < size ? size - len : 0,
				 "%s %" PRIu64 " %.0f %.0f %.0f\n", table[k].name, p->samples, p->ratio * 1e6,
				 p->error_before * 1e6, p->error_after * 1e6);

		assert(n > 0);
		len += (size_t)n;
	}
	return len;
}

bool profiles_load(struct profiles *ps, const char *text)
{
	struct profiles loaded;
	unsigned k;

	profiles_init(&loaded);
	for (k = 0; k < PROFILE__COUNT; k++) {
		struct profile *p = &loaded.kinds[k];
		uint64_t ratio, before, after;
		char name[16];
		int len = 0;

		if (sscanf(text, "%15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 "%n", name, &p->samples, &ratio, &before,
			   &after, &len) != 5 || strcmp(name, table[k].name) != 0)
			return false;
		p->ratio = (double)ratio / 1e6;
		p->error_before = (double)before / 1e6;
		p->error_after = (double)after / 1e6;
		if (p->ratio < RATIO_MIN || p->ratio > RATIO_MAX)
			return false;
		text += len;
	}
	*ps = loaded;
	return true;
}
