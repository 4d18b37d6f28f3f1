"""Transform: TFX's, but its records are not compressed."""

import apache_beam as beam
from tfx.components import Transform as TfxTransform
from tfx.components.transform import executor as tfx_executor
from tfx.components.transform import labels
from tfx.dsl.components.base import executor_spec


class Processor(tfx_executor.TransformProcessor):
    """TFX's processor, which writes plain TFRecord files.

    Images are already compressed, so GZIP saves nothing. And the trainer and the evaluator read records in any order: each
    of them would have to unpack whole files first.
    """

    @staticmethod
    @beam.ptransform_fn
    def _EncodeAndWrite(pcoll, schema, file_format, output_path):  # the name is TFX's
        if file_format != labels.FORMAT_TFRECORD:
            raise ValueError(f"Records must be written as {labels.FORMAT_TFRECORD}; received {file_format}.")
        return (
            pcoll
            | "EncodeAndSerialize" >> beam.ParDo(Processor._RecordBatchToExamplesFn(schema))
            | "ExtractExamples" >> beam.Values()
            | "WriteToTFRecord" >> beam.io.WriteToTFRecord(output_path)
        )


class Executor(tfx_executor.Executor):
    """The executor of TFX's Transform, with `Processor`."""

    def Do(self, input_dict, output_dict, exec_properties):
        theirs = tfx_executor.TransformProcessor
        tfx_executor.TransformProcessor = Processor  # TFX makes its processor by this name
        try:
            super().Do(input_dict, output_dict, exec_properties)
        finally:
            tfx_executor.TransformProcessor = theirs


class Transform(TfxTransform):
    """TFX's Transform with `Executor`; the arguments are the same."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
