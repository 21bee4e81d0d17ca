/* What a sparekey_loop is. */
#ifndef SPAREKEY_CLIENT_LOOP_H
#define SPAREKEY_CLIENT_LOOP_H

#include "client/lane.h"

struct sparekey_loop {
    sparekey_client *client;
    struct lane *lane;
};

#endif
