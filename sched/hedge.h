/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sending the slowest requests a second time. Who answers first wins, the other is cancelled.
 *
 * What is hedged: a HEAD, LIST or GET that a person waits for, and a relay that a job waits for with nothing else to
 * do, while no byte has come: of the object, or of the relay's source. From the first byte on there is no second one,
 * because the two share a race (s3_request.race) that whoever gets a byte must win: nothing is delivered twice, and
 * the destination of a relay is asked once. A PUT under way is never hedged: two of them could both take effect, the
 * later one after a change that was submitted behind it.
 *
 * When: twice the 95th percentile of the time to the first byte has passed. How often: a small share of the requests;
 * none on a path that is at its limit or was told to slow down, none when there is no slot and no memory at once.
 *
 * A task ends when both of its requests are back, so nothing of it is in flight any more. */
#ifndef S3B_HEDGE_H
#define S3B_HEDGE_H

#include "sched/task.h"

/* T is about to be sent: prepares its request, and sets the timer. */
void hedge_arm(struct sched *s, struct sched_task *t);
/* The timer is due. */
void hedge_expire(struct sched *s, struct sched_task *t);
/* R, a request of T, has come back and was measured. False: the other has not. True: T's request holds the result that
 * counts. */
bool hedge_settle(struct sched *s, struct sched_task *t, struct s3_request *r);

#endif
