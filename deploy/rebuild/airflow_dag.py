"""Airflow: train a model anew for each event of the router's `rebuild` sink (apache-airflow-providers-apache-kafka)."""

import json

from airflow import DAG
from airflow.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.providers.apache.kafka.sensors.kafka import AwaitMessageSensor


def asked(message):
    """Return what an event asks for; None for what is not one."""
    event = json.loads(message.value())
    return event["data"] if event["type"] == "io.driftline.rebuild" else None


with DAG("driftline_rebuild", schedule="@continuous", max_active_runs=1, catchup=False) as dag:
    wait = AwaitMessageSensor(
        task_id="wait", topics=["driftline.rebuild"], apply_function="driftline_rebuild.asked", kafka_config_id="kafka"
    )
    train = TriggerDagRunOperator(
        task_id="train",
        trigger_dag_id="train",
        conf="{{ ti.xcom_pull(task_ids='wait') }}",  # a DAG of yours
    )
    wait >> train
