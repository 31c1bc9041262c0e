"""Who writes responses: models in process, endpoints over HTTP, and the offline teacher."""
