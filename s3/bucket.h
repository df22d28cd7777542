/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a struct s3_bucket holds; private to s3/. */
#ifndef S3B_BUCKET_H
#define S3B_BUCKET_H

#include <stdbool.h>

#include "s3/s3.h"
#include "s3/sigv4.h"

struct s3_bucket {
	char *label;
	char *bucket;
	char *endpoint;   /* "scheme://host[:port]", no path, for messages and comparison */
	char *scheme;     /* "http" or "https" */
	char *host;       /* Host header: host[:port] without a default port; virtual-host style: bucket.host[:port] */
	char *base_path;  /* "" or "/base", then path style adds "/bucket" (percent-encoded) */
	char *region;
	char *ca_file;
	char *session_token;
	bool anonymous;
	struct sigv4_signer *signer; /* NULL when anonymous; holds the keys */
};

#endif
