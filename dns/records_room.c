/* How much a client may store. */
#include <stdio.h>
#include <string.h>

#include "dns/records_int.h"

static struct client_room *room_of(struct records *records, const char *client)
{
    for (size_t i = 0; i < CLIENT_ROOMS; i++) {
        if (strcmp(records->rooms[i].client, client) == 0) {
            return &records->rooms[i];
        }
    }
    struct client_room *room = &records->rooms[records->next_room++ % CLIENT_ROOMS];
    (void)snprintf(room->client, sizeof(room->client), "%s", client);
    room->left = 0;
    return room;
}

/* Rows that a transaction rolls back, or that go, only make the room larger than is known here. */
struct err room_check(struct records *records, struct db *db, const char *client, size_t edits_n,
                      struct record_refusal *refusal)
{
    size_t n = 0;

    if (client[0] == '\0') {
        return err_ok();
    }
    struct client_room *room = room_of(records, client);
    if (room->left >= edits_n) {
        room->left -= edits_n;
        return err_ok();
    }
    room->left = 0;
    TRY(rows_count_client(db, client, &n));
    room->left = n < RECORDS_PER_CLIENT_MAX ? RECORDS_PER_CLIENT_MAX - n : 0;
    if (n > RECORDS_PER_CLIENT_MAX) {
        return records_refuse(refusal,
                              "client %s would have more than %u records stored: remove some that "
                              "it added, or let the administrator add these",
                              client, RECORDS_PER_CLIENT_MAX);
    }
    return err_ok();
}
