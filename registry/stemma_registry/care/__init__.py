"""Care of a registry: audit, repair, replicas, the doctor, collecting and erasing."""
