/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Percent-encoding as SigV4 wants it: everything but A-Z a-z 0-9 - . _ ~ becomes %XX with upper-case digits.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html */
#ifndef S3B_URI_H
#define S3B_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "s3/base/strbuf.h"

void uri_encode(struct strbuf *out, const char *s, bool keep_slash);

/* Decodes %XX (and '+' as space when PLUS_IS_SPACE, as in ListObjectsV2 with encoding-type=url) in place.
 * False, with S untouched, on a malformed escape or one that decodes to NUL. */
bool uri_decode(char *s, bool plus_is_space);

#endif
