-- Deletes all that is stored of a task, in one step: a cluster's client would send a DEL for each key.
redis.call('DEL', META, BLOBS, OUTBOX)
return {}
